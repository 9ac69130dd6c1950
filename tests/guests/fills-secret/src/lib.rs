//! Honest: logs in at the service `mail` with a body into which the host writes a secret, and changes it if it is told
//! to. It returns what it read, so that a test can see what a guest gets to see.

use ops_guest::{Ctx, Failure, NetError, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What stands where the secret goes.
    #[serde(default = "placeholder")]
    password: String,
    /// Ask for an effect with the secret in it, too.
    #[serde(default)]
    change: bool,
}

/// What was read.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The status of the login.
    status: Option<u16>,
    /// The header fields of its answer, as `name: value`.
    headers: Vec<String>,
    /// The body of its answer.
    body: String,
    /// The broker's words, if it was denied.
    denied: Option<String>,
    /// What the change was answered, if it was performed.
    changed: Option<String>,
}

/// The settings.
#[derive(Deserialize)]
struct Config {
    note: Option<String>,
}

fn placeholder() -> String {
    "[secret]".to_owned()
}

#[capability(
    name = "test.guest.fills-secret",
    summary = "Sends a body into which the host writes a secret.",
    safety = "mutating",
    needs(
        service("mail", rule(POST "/login", read), rule(POST "/password", mutate)),
        config("note", optional, "A text that goes into the plan.")
    )
)]
fn fills_secret(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let login = json!({"user": "ops", "auth": {"password": input.password}});
    let mut output = match ctx.fetch_raw(&Request::post_json("mail", "/login", &login)?) {
        Ok(answer) => Output {
            status: Some(answer.status),
            headers: answer.headers.iter().map(|field| format!("{}: {}", field.name, field.value)).collect(),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            denied: None,
            changed: None,
        },
        Err(NetError::NotGranted(why)) => {
            Output { status: None, headers: vec![], body: String::new(), denied: Some(why), changed: None }
        }
        Err(other) => return Err(Failure::failed(format!("neither answered nor denied: {other:?}"))),
    };
    if input.change {
        let note = ctx.config::<Config>()?.note;
        let change = json!({"note": note, "auth": {"password": input.password}});
        let request = Request::post_json("mail", "/password", &change)?;
        let done =
            ctx.effect("change the password", request).undo(Undo::by_hand("change it back")).perform()?;
        output.changed = done.then(|answer| Ok(String::from_utf8_lossy(&answer.body).into_owned()))?;
    }
    Ok(output)
}
