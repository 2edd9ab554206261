//! Users' functions, tried and checked.

use inlet_gateway::transform::{Functions, Trial, check_code, present};

use super::*;
use crate::transform;

impl Caller<'_> {
    /// Runs a function on a payload and shows what came of it.
    pub(super) async fn test_function(&self, of_source: bool) -> Answered {
        let trial: Trial = api::parse(&self.body)?;
        let kind = trial.kind(of_source)?;
        let ran = transform::trial(&trial.code, &trial.payload).await?;
        let ran = ran.map_err(|fault| fault.refusal("function"))?;
        let shown = present(kind, &trial.payload, &ran)?;
        Ok(Answer::ok(200, "Transformer function run successfully", shown))
    }

    /// Refuses a function that does not compile, or defines no `transform`, with the place of the fault.
    pub(super) async fn check_function(&self, field: &str, code: &str) -> Result<(), Refusal> {
        check_code(field, code)?;
        transform::compile(code).await?.map_err(|fault| fault.refusal(field))?;
        Ok(())
    }

    /// Refuses those functions of a source that were changed and do not compile, or define no `transform`.
    pub(super) async fn check_functions(
        &self,
        functions: &Functions,
        before: &Functions,
    ) -> Result<(), Refusal> {
        for (field, code, old) in [
            ("body_function", &functions.body, &before.body),
            ("header_function", &functions.header, &before.header),
        ] {
            if !code.is_empty() && code != old {
                self.check_function(field, code).await?;
            }
        }
        Ok(())
    }
}
