//! Which deliveries are to be made again.

use crate::api::ApiError;
use crate::fields::{Fields, FromFields};

/// Ids in one `forceresend`.
const IDS_MAX: usize = 1_000;

/// The body of `POST /eventdeliveries/forceresend`.
#[derive(Debug)]
pub struct ResendInput {
    pub ids: Vec<String>,
}

impl FromFields for ResendInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let ids = fields.texts("ids")?.unwrap_or_default();
        if ids.is_empty() || IDS_MAX < ids.len() {
            return Err(ApiError::bad_request(format!(
                "Request is invalid: ids holds from 1 to {IDS_MAX} ids of deliveries"
            )));
        }
        Ok(Self { ids })
    }
}
