//! What keeps something from being known: told beside what is known, instead of failing a whole
//! answer.

use domain::who::WhoCanAct;
use engine::ports::ErrorKind;

use super::Error;

/// Why something could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Stable, for programs: the code of the error.
    pub reason: &'static str,
    /// The same for people.
    pub sentence: String,
    /// What to do; empty where the sentence says it already.
    pub remedy: &'static str,
    /// Who can end it.
    pub who_can_act: WhoCanAct,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let described = error.described();
        Self {
            reason: described.code,
            sentence: error.to_string(),
            remedy: described.remedy,
            who_can_act: match error {
                Error::Provider(error) if error.kind == ErrorKind::Throttled => WhoCanAct::Time,
                Error::Provider(_) => WhoCanAct::ProviderAdministrator,
                _ => WhoCanAct::Operator,
            },
        }
    }
}
