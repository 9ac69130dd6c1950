//! Questions and answers in several requests: each round asks for something, and the client calls again with it. A
//! state that the client brings back must be one that was handed out.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rmcp::ErrorData;
use rmcp::model::{ClientCapabilities, InputRequest, InputRequiredResult, InputResponses};
use serde_json::Value;

use super::data::{Round, Rounds};

/// The states that were handed out: for whom, and which round they belong to.
#[derive(Default)]
pub(crate) struct States(Mutex<BTreeMap<String, (String, usize)>>);

/// What a call comes to.
pub(crate) enum Next<'a> {
    Ask(InputRequiredResult),
    Done(&'a Value),
}

impl States {
    /// Goes on with `name` from what the client brought.
    ///
    /// # Errors
    ///
    /// A state that was never handed out for this, and a client that can answer nothing of what would be asked.
    pub(crate) fn next<'a>(
        &self,
        name: &str,
        all: &'a Rounds,
        brought: Option<&InputResponses>,
        state: Option<&str>,
        client: &ClientCapabilities,
    ) -> Result<Next<'a>, ErrorData> {
        let at = match state {
            None => 0,
            Some(state) => self.round_of(name, state)?,
        };
        let round = &all.rounds[at];
        let complete =
            brought.is_some_and(|brought| answers(round, brought)) && (state.is_some() || !round.state);
        let next = if complete { at + 1 } else { at };
        match all.rounds.get(next) {
            None => Ok(Next::Done(&all.done)),
            Some(round) => self.ask(name, next, round, client).map(Next::Ask),
        }
    }

    fn round_of(&self, name: &str, state: &str) -> Result<usize, ErrorData> {
        match self.0.lock().unwrap().get(state) {
            Some((owner, round)) if owner == name => Ok(*round),
            _ => Err(ErrorData::invalid_params("the request state is not one of this server's", None)),
        }
    }

    fn ask(
        &self,
        name: &str,
        at: usize,
        round: &Round,
        client: &ClientCapabilities,
    ) -> Result<InputRequiredResult, ErrorData> {
        let possible = round.requests.iter().filter(|(_, request)| can_answer(client, request));
        let requests: BTreeMap<_, _> =
            possible.map(|(key, request)| (key.clone(), request.clone())).collect();
        if requests.is_empty() {
            return Err(ErrorData::missing_required_client_capability(
                ClientCapabilities::builder().enable_elicitation().build(),
            ));
        }
        Ok(InputRequiredResult::new(Some(requests), round.state.then(|| self.hand_out(name, at))))
    }

    fn hand_out(&self, name: &str, at: usize) -> String {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).unwrap();
        let state = hex::encode(bytes);
        self.0.lock().unwrap().insert(state.clone(), (name.to_owned(), at));
        state
    }
}

/// Whether everything that the round asks for is there. More than that does not matter.
fn answers(round: &Round, brought: &InputResponses) -> bool {
    round.requests.keys().all(|key| brought.get(key).is_some_and(Value::is_object))
}

fn can_answer(client: &ClientCapabilities, request: &InputRequest) -> bool {
    match request {
        InputRequest::Elicitation(_) => client.elicitation.is_some(),
        InputRequest::CreateMessage(_) => client.sampling.is_some(),
        InputRequest::ListRoots(_) => client.roots.is_some(),
        _ => false,
    }
}
