//! What a source is told of its provider beyond the secret.

use serde_json::{Value, json};

use crate::api::{ApiError, check_length};
use crate::fields::{Fields, FromFields};

/// `provider_config`, as it is sent. What a read shows beside these fields is not changed by sending it back.
#[derive(Debug)]
pub struct ProviderConfigInput {
    sns: Option<SnsInput>,
}

impl FromFields for ProviderConfigInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { sns: fields.object("sns")? })
    }
}

#[derive(Debug)]
struct SnsInput {
    topic_arn: Option<String>,
}

impl FromFields for SnsInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { topic_arn: fields.text("topic_arn")? })
    }
}

impl ProviderConfigInput {
    /// The topic, where one is given: `None` changes nothing, an empty one takes it away.
    pub fn topic(self, provider: &str) -> Result<Option<String>, ApiError> {
        let given = self.sns.and_then(|sns| sns.topic_arn).map(|text| text.trim().to_owned());
        let Some(topic) = given.as_deref().filter(|topic| !topic.is_empty()) else {
            return Ok(given);
        };
        if provider != "aws_sns" {
            return Err(ApiError::bad_request(
                "provider_config.sns:is for sources of the provider aws_sns",
            ));
        }
        check_length("provider_config.sns.topic_arn", topic, 512)?;
        let parts: Vec<&str> = topic.split(':').collect();
        let is_topic = matches!(
            parts.as_slice(),
            ["arn", partition, "sns", region, account, name]
                if partition.starts_with("aws") && ![region, account, name].iter().any(|part| part.is_empty())
        );
        if !is_topic {
            return Err(ApiError::bad_request(
                "provider_config.sns.topic_arn:write it as arn:aws:sns:eu-west-1:123456789012:name",
            ));
        }
        Ok(given)
    }
}

pub fn present(topic: &str) -> Value {
    json!({"sns": {"topic_arn": (!topic.is_empty()).then_some(topic)}})
}
