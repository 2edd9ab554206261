//! Users' functions, tried.

use inlet_gateway::transform::{Trial, present};

use super::*;
use crate::transform;

impl Caller<'_> {
    /// Runs a function on a payload and shows what came of it.
    pub(super) async fn test_function(&self, of_source: bool) -> Answered {
        let trial: Trial = api::parse(&self.body)?;
        let kind = trial.kind(of_source)?;
        let ran = transform::run(&trial.code, &trial.payload).await?;
        let ran = ran.map_err(|fault| fault.refusal("function"))?;
        let shown = present(kind, &ran)?;
        Ok(Answer::ok(200, "Transformer function run successfully", shown))
    }
}
