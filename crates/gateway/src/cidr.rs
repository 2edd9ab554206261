//! Blocks of IP addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses that begin with the same bits. IPv4 is in it as IPv6 has it (`::ffff:192.0.2.1`), so that one address has one
/// form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    first: u128,
    bits: u32,
}

/// The form of an address that blocks are compared with.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(bits: u32) -> u128 {
    u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

impl Block {
    /// Reads a block; one whose address goes on behind its prefix is refused, because it may be a slip.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("{text} is neither an address nor a block of them"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match prefix {
            None => most,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().unwrap_or(u32::MAX)
            }
            Some(_) => u32::MAX,
        };
        if most < length {
            return Err(format!("{text} needs a prefix from 0 to {most}"));
        }
        let bits = length + (128 - most);
        let first = bits_of(address) & mask(bits);
        let block = Self { first, bits };
        if first == bits_of(address) { Ok(block) } else { Err(format!("{text} begins at {block}")) }
    }

    pub fn holds(&self, address: IpAddr) -> bool {
        bits_of(address) & mask(self.bits) == self.first
    }
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let v6 = Ipv6Addr::from_bits(self.first);
        match v6.to_ipv4_mapped().filter(|_| 96 <= self.bits) {
            Some(v4) => write!(f, "{v4}/{}", self.bits - 96),
            None => write!(f, "{v6}/{}", self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_holds_the_addresses_that_begin_like_it() {
        for (block, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("192.0.2.0/24", "::ffff:192.0.2.9", "::192.0.2.9"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"),
        ] {
            let parsed = Block::parse(block).unwrap();
            assert!(parsed.holds(inside.parse().unwrap()), "{block} {inside}");
            assert!(!parsed.holds(outside.parse().unwrap()), "{block} {outside}");
        }
        assert!(Block::parse("::/0").unwrap().holds("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for (text, expect) in [
            ("", " is neither an address nor a block of them"),
            ("example.com", "example.com is neither an address nor a block of them"),
            ("192.0.2.0/33", "192.0.2.0/33 needs a prefix from 0 to 32"),
            ("192.0.2.0/-1", "192.0.2.0/-1 needs a prefix from 0 to 32"),
            ("192.0.2.0/", "192.0.2.0/ needs a prefix from 0 to 32"),
            ("::/129", "::/129 needs a prefix from 0 to 128"),
            ("192.0.2.1/24", "192.0.2.1/24 begins at 192.0.2.0/24"),
            ("2001:db8::1/32", "2001:db8::1/32 begins at 2001:db8::/32"),
            ("010.0.0.1", "010.0.0.1 is neither an address nor a block of them"),
        ] {
            assert_eq!(Block::parse(text).unwrap_err(), expect);
        }
    }

    proptest! {
        #[test]
        fn a_block_is_read_as_it_is_written(bits: u128, length in 0u32..=128) {
            let block = Block { first: bits & mask(length), bits: length };
            prop_assert_eq!(Block::parse(&block.to_string()).unwrap(), block);
        }
    }
}
