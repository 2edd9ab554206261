//! Writes the document of the API to where the Worker takes it from.

use std::path::Path;
use std::{fs, io};

use inlet_gateway::document::{FILE, generate};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(root.join(FILE), generate().to_string() + "\n")
}
