//! `format`: what a text, or a number, is written like.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::time::parse_rfc3339;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Date,
    Email,
    Ipv4,
    Ipv6,
    Uri,
    Uuid,
    Int32,
    Int64,
}

impl Format {
    /// `None` for all others: they say something to people.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" => Self::DateTime,
            "date" => Self::Date,
            "email" => Self::Email,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "uri" | "url" => Self::Uri,
            "uuid" => Self::Uuid,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DateTime => "date-time of RFC 3339",
            Self::Date => "date like 2026-01-31",
            Self::Email => "mail address",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Uri => "URI",
            Self::Uuid => "UUID",
            Self::Int32 => "whole number of 32 bits",
            Self::Int64 => "whole number of 64 bits",
        }
    }

    /// A format says nothing about values of another type.
    pub(super) fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Int32, Value::Number(number)) => {
                number.as_i64().is_some_and(|whole| i32::try_from(whole).is_ok())
                    || number.as_f64().is_some_and(|float| {
                        !number.is_i64()
                            && !number.is_u64()
                            && float.fract() == 0.0
                            && float.abs() <= f64::from(i32::MAX)
                    })
            }
            (Self::Int64, Value::Number(number)) => {
                number.as_i64().is_some()
                    || (!number.is_u64()
                        && number
                            .as_f64()
                            .is_some_and(|float| float.fract() == 0.0 && float.abs() < 9.2e18))
            }
            (_, Value::String(text)) => self.fits_text(text),
            _ => true,
        }
    }

    fn fits_text(self, text: &str) -> bool {
        match self {
            Self::DateTime => parse_rfc3339(text).is_some(),
            Self::Date => text.len() == 10 && parse_rfc3339(&format!("{text}T00:00:00Z")).is_some(),
            Self::Email => text.rsplit_once('@').is_some_and(|(name, host)| {
                let plain =
                    |text: &str| !text.is_empty() && !text.contains([' ', '\t', '\r', '\n']);
                plain(name) && plain(host) && !host.starts_with('.') && !host.ends_with('.')
            }),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => url::Url::parse(text).is_ok(),
            Self::Uuid => {
                let parts: Vec<&str> = text.split('-').collect();
                parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
                    && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
            }
            Self::Int32 | Self::Int64 => true,
        }
    }
}
