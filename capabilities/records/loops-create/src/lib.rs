//! Creates a loop: a scope file with front matter and an acceptance.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::Severity;
use records_common::scope::{self, Front, Horizon, Readiness, Scope, Status};
use records_common::{time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the loop is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in a few words; its id is made of it and of the day.
    #[schemars(length(min = 1, max = 80))]
    name: String,
    /// What it is for.
    #[schemars(length(min = 1, max = 1000))]
    objective: String,
    /// What must hold before it is closed.
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 500)))]
    success: Vec<String>,
    /// What must be done besides before it is closed.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 500)))]
    dod: Vec<String>,
    /// A phase of the work.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 500)))]
    phase: Vec<String>,
    /// The domain that it is about.
    #[serde(default = "core")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]{0,63}$"))]
    scope: String,
    /// The role that stands for it.
    #[serde(default = "platform")]
    #[schemars(length(min = 1, max = 64))]
    owner: String,
    /// How much it matters.
    #[serde(default = "medium")]
    priority: Severity,
    /// When it is due; what is not due now is planned, not open.
    #[serde(default = "due")]
    horizon: Horizon,
    /// Whether somebody can begin.
    #[serde(default = "runnable")]
    readiness: Readiness,
}

fn core() -> String {
    "core".to_owned()
}

fn platform() -> String {
    "platform".to_owned()
}

fn medium() -> Severity {
    Severity::Medium
}

fn due() -> Horizon {
    Horizon::Now
}

fn runnable() -> Readiness {
    Readiness::Runnable
}

/// What was created.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One line that says so.
    message: String,
    loop_id: String,
    status: Status,
    /// Its file, relative to the workspace.
    file: String,
}

#[capability(
    name = "loops.create",
    summary = "Creates a loop: a scoped piece of work that ends with evidence.",
    safety = "mutating",
    needs(directory("loops", stage))
)]
fn create(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let lists = input
        .success
        .iter()
        .chain(&input.dod)
        .chain(&input.phase)
        .map(|text| ("success, --dod or --phase", text));
    let texts = [("objective", &input.objective), ("owner", &input.owner)];
    for (flag, text) in texts.into_iter().chain(lists) {
        word::check_text(flag, text)?;
        if text.contains('\n') {
            return Err(Failure::invalid(format!("--{flag} takes one line")));
        }
    }
    let now = time::now(ctx)?;
    let id = id(&input.name, &now.strftime("%Y%m%d").to_string())?;
    if scope::ids(ctx)?.contains(&id) {
        return Err(Failure::conflict(format!(
            "{id} is there already ({}); give another --name, or go on with it",
            scope::file_of(&id)
        )));
    }
    let front = Front {
        loop_id: id.clone(),
        created: time::date(now),
        status: if input.horizon == Horizon::Now { Status::Open } else { Status::Planned },
        closed_at: None,
        evidence: vec![],
        owner: input.owner,
        scope: input.scope,
        priority: input.priority,
        horizon: Some(input.horizon),
        execution_readiness: Some(input.readiness),
        objective: input.objective.clone(),
        proof: vec![],
    };
    let mut body = format!("# Loop Scope: {id}\n\n## Objective\n\n{}\n", escaped(&input.objective));
    for (heading, lines) in
        [("Phases", &input.phase), ("Success Criteria", &input.success), ("Definition Of Done", &input.dod)]
    {
        if !lines.is_empty() {
            let lines: String = lines.iter().map(|line| format!("- {}\n", escaped(line))).collect();
            body.push_str(&format!("\n## {heading}\n\n{lines}"));
        }
    }
    let made = Scope::new(&front, &body)?;
    if made.body.acceptance.len() != input.success.len() + input.dod.len() {
        return Err(Failure::invalid(
            "a line of --success or --dod is not one line of text; say it in plain words",
        ));
    }
    made.write(ctx)?;
    Ok(Output {
        message: format!("CREATED: {id}"),
        status: front.status,
        file: scope::file_of(&id),
        loop_id: id,
    })
}

/// `LOOP-<NAME>-<YYYYMMDD>`.
fn id(name: &str, day: &str) -> Result<String, Failure> {
    let words: Vec<String> = name
        .split(|c: char| c.is_whitespace() || c == '-' || c == '_')
        .filter(|word| !word.is_empty())
        .map(str::to_uppercase)
        .collect();
    let name = words.join("-");
    let id = format!("LOOP-{}-{day}", name.strip_prefix("LOOP-").unwrap_or(&name));
    if words.is_empty() || !word::is_loop_id(&id) {
        return Err(Failure::invalid(format!(
            "--name {name:?} has more than letters and digits of ASCII; name it in such"
        )));
    }
    Ok(id)
}

/// A line of text that Markdown takes for nothing else.
fn escaped(text: &str) -> String {
    let text = text.trim().replace('\\', "\\\\").replace('<', "\\<").replace('[', "\\[").replace('`', "\\`");
    let marks = text.starts_with(['#', '-', '+', '*', '>', '|', '=', '~', '_']);
    let number = text
        .split_once(['.', ')'])
        .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    match (marks, number) {
        (true, _) => format!("\\{text}"),
        (_, true) => text.replacen('.', "\\.", 1).replacen(')', "\\)", 1),
        _ => text,
    }
}
