//! Evidence: runs that are done, whose receipts verify. Words are none, and a dry run is one only where a loop's proof asks for it.

use std::collections::BTreeMap;

use ops_guest::{Ctx, Failure, records};

/// How many runs may be named at once.
pub const MOST: usize = 50;
/// What stands behind a capability in a proof that asks for a dry run of it.
pub const DRY: &str = " --dry-run";

/// A run that is evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its key.
    pub run: String,
    /// The capability that ran.
    pub capability: String,
    /// Whether it only read: a check, which anybody can make again.
    pub is_check: bool,
    /// Whether it was a dry run, which changed nothing and met nothing.
    pub is_dry: bool,
    /// When it ended, RFC 3339 in UTC.
    pub at: String,
}

impl Evidence {
    /// Whether it shows one word of a proof: a run of that capability, or with ` --dry-run` behind it, a dry run.
    pub fn shows(&self, wanted: &str) -> bool {
        match wanted.strip_suffix(DRY) {
            Some(name) => self.is_dry && self.capability == name,
            None => !self.is_dry && self.capability == wanted,
        }
    }

    /// The same, unless it is a dry run that none of these words of a proof asks for.
    ///
    /// # Errors
    /// Why it is no evidence, as a whole sentence.
    pub fn admitted(self, proof: &[String]) -> Result<Self, String> {
        if self.is_dry && !proof.iter().any(|wanted| self.shows(wanted)) {
            return Err(format!(
                "{} is a dry run, which shows nothing; name a run of {} without --dry-run",
                self.run, self.capability
            ));
        }
        Ok(self)
    }
}

/// Runs that are looked up, each once.
pub struct Runs {
    most: usize,
    known: BTreeMap<String, Result<Evidence, String>>,
}

impl Runs {
    /// None so far, and at most so many.
    pub fn at_most(most: usize) -> Self {
        Self { most, known: BTreeMap::new() }
    }

    /// What is known of a run, which is evidence only as far as these words of a proof admit it.
    ///
    /// # Errors
    /// As of [`look_up`].
    pub fn get(
        &mut self,
        ctx: &Ctx,
        run: &str,
        proof: &[String],
    ) -> Result<Result<Evidence, String>, Failure> {
        if let Some(known) = self.known.get(run) {
            return Ok(known.clone().and_then(|evidence| evidence.admitted(proof)));
        }
        if self.known.len() >= self.most {
            return Ok(Err(format!("{run} is not looked up: more than {} runs are named", self.most)));
        }
        let found = look_up(ctx, run)?;
        self.known.insert(run.to_owned(), found.clone());
        Ok(found.and_then(|evidence| evidence.admitted(proof)))
    }
}

/// Whether a text has the form of a run key: `CAP-YYYYMMDD-HHMMSS__<capability>__R<letters and digits>`.
pub fn is_run_key(text: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split("__");
    let (Some(time), Some(name), Some(end), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let time = time.strip_prefix("CAP-").and_then(|time| time.split_once('-'));
    let name_fits = (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    time.is_some_and(|(day, time)| digits(day, 8) && digits(time, 6))
        && name_fits
        && end.strip_prefix('R').is_some_and(|end| {
            (1..=40).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// The run keys in a text, which are separated by commas or blanks; each once, in their order.
///
/// # Errors
/// `InvalidInput` where a word of it is no run key, or there are more than fifty.
pub fn run_keys(flag: &str, text: &str) -> Result<Vec<String>, Failure> {
    let mut keys: Vec<String> = Vec::new();
    for word in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
        // The folder of a receipt is named `R` and the key.
        let key = word.strip_prefix('R').filter(|key| key.starts_with("CAP-")).unwrap_or(word);
        if !is_run_key(key) {
            let word: String = word.chars().take(80).collect();
            return Err(Failure::invalid(format!(
                "--{flag} takes run keys, and {word:?} is none: words are no evidence\n  a key is like \
                 CAP-20260302-022322__verify.run__R8mdr71498; each run says its own at its end, and \
                 `ops receipts list` shows them all"
            )));
        }
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    if keys.len() > MOST {
        return Err(Failure::invalid(format!(
            "--{flag} names more than {MOST} runs; name those that show it best"
        )));
    }
    Ok(keys)
}

/// Looks a run up. The inner error says, as a whole sentence, why it is no evidence.
///
/// # Errors
/// `NotGranted` where the binding lacks the service `ops`, `Failed` where it does not answer as it should.
pub fn look_up(ctx: &Ctx, run: &str) -> Result<Result<Evidence, String>, Failure> {
    let Some(receipt) = records::receipt(ctx, run)? else {
        return Ok(Err(format!("{run} has no receipt here; `ops receipts list` shows those there are")));
    };
    if receipt.run != run {
        return Err(Failure::failed(format!(
            "asked for {run}, the service `ops` answered for {}",
            receipt.run
        )));
    }
    if !receipt.verifies {
        let why = receipt.why.unwrap_or_else(|| "no reason is given".to_owned());
        return Ok(Err(format!(
            "the receipt of {run} does not verify: {why}; `ops receipts verify {run}` says more"
        )));
    }
    if receipt.status != "done" {
        return Ok(Err(format!(
            "{run} ended as {}, and only a run that is done is evidence",
            receipt.status
        )));
    }
    Ok(Ok(Evidence {
        run: receipt.run,
        capability: receipt.capability,
        is_check: receipt.safety == "read-only",
        is_dry: receipt.dry_run,
        at: receipt.at,
    }))
}

/// The runs that are named by a flag, each of which must be evidence; a dry run is one where these words of a proof ask for it,
/// and never alone.
///
/// # Errors
/// `InvalidInput` where words are named, `Conflict` where a run is no evidence.
pub fn named(ctx: &Ctx, flag: &str, text: &str, proof: &[String]) -> Result<Vec<Evidence>, Failure> {
    let refused = |why| Failure::conflict(format!("--{flag}: {why}"));
    let mut evidence = Vec::new();
    for run in run_keys(flag, text)? {
        evidence.push(look_up(ctx, &run)?.and_then(|found| found.admitted(proof)).map_err(refused)?);
    }
    if !evidence.is_empty() && evidence.iter().all(|run| run.is_dry) {
        return Err(refused("dry runs alone show nothing; name a run that is none as well".to_owned()));
    }
    Ok(evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_form() {
        for (text, fits) in [
            ("CAP-20260302-022249__verify.run__R9hxn65756", true),
            ("CAP-20260302-022249__infra.vm.provision__Rabcdefghij", true),
            ("RCAP-20260302-022249__verify.run__R9hxn65756", false),
            ("CAP-20260302-022249__verify.run__", false),
            ("CAP-2026032-022249__verify.run__R1", false),
            ("CAP-20260302-022249__verify/run__R1", false),
            ("CAP-20260302-022249__a__b__R1", false),
            ("CAP-20260302-022249__verify.run__R1?x=1", false),
            ("fixed in the last commit", false),
        ] {
            assert_eq!(is_run_key(text), fits, "{text}");
        }
    }

    #[test]
    fn keys_are_told_apart_and_words_refused() {
        let (one, two) = ("CAP-20260302-022249__verify.run__R1", "CAP-20260302-022249__verify.run__R2");
        let text = format!(" {one},{two}  R{one}\n, {two}");
        assert_eq!(run_keys("fixed-in", &text).unwrap(), [one, two]);
        assert!(run_keys("fixed-in", " , ").unwrap().is_empty());
        let why = run_keys("fixed-in", &format!("{one} and commit 4186dedb")).unwrap_err().why();
        assert!(why.contains("\"and\"") && why.contains("ops receipts list"), "{why}");
        let many: Vec<_> = (0..51).map(|n| format!("CAP-20260302-022249__verify.run__R{n}")).collect();
        assert!(run_keys("fixed-in", &many.join(" ")).is_err());
    }
}
