//! The name of the user that this process runs as, by the system's accounts: an environment variable could claim anybody's, and
//! who asked for a plan decides who may approve it.
//!
//! Most accounts are in `/etc/passwd`. Others, of a directory service for one, the C library looks up with code that it loads, and a
//! program that holds its C library cannot load any. So the system's own program is asked for those: every build of `ops` then
//! says the same of the same user.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use ops_policy::visible::visible;

/// The accounts of this machine.
const ACCOUNTS: &str = "/etc/passwd";

/// The program that knows all others, by its path: nobody's `PATH` decides who this user is.
const LOOKUP: &str = "/usr/bin/getent";

/// The user's name. Where the account has none, its number.
pub fn user_name() -> String {
    static NAME: OnceLock<String> = OnceLock::new();
    let named = || {
        let uid = rustix::process::geteuid().as_raw();
        local(uid).or_else(|| asked(uid)).map_or_else(|| format!("uid-{uid}"), |name| visible(&name))
    };
    NAME.get_or_init(named).clone()
}

fn local(uid: u32) -> Option<String> {
    name_in(&std::fs::read_to_string(ACCOUNTS).ok()?, uid)
}

fn asked(uid: u32) -> Option<String> {
    let mut lookup = Command::new(LOOKUP);
    lookup.args(["passwd", &uid.to_string()]).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    name_in(&String::from_utf8(lookup.output().ok()?.stdout).ok()?, uid)
}

/// The name of the first account with this number, in lines of `name:password:number:…`.
fn name_in(accounts: &str, uid: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (!name.is_empty() && number.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "# users\nroot:x:0:0:root:/root:/bin/sh\n+::::::\n:x:7:7::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1000:1::/:\nodd:x:ten:1::/:\n";
        for (uid, name) in [(0, Some("root")), (1000, Some("alice")), (7, None), (1, None), (10, None)] {
            assert_eq!(name_in(accounts, uid).as_deref(), name, "{uid}");
        }
    }

    #[test]
    fn file_and_program_say_the_same() {
        assert_eq!(local(0).as_deref(), Some("root"));
        assert_eq!(asked(0).as_deref(), Some("root"));
        assert_eq!(asked(u32::MAX - 7), None);
    }

    #[test]
    fn it_is_what_the_system_says() {
        let told = Command::new("id").arg("-un").output().unwrap();
        assert_eq!(user_name(), String::from_utf8(told.stdout).unwrap().trim());
    }
}
