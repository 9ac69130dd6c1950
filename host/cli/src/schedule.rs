//! What a schedule is written as: a systemd service and its timer, and a crontab line. `ops` runs no scheduler of its own.
//!
//! Each word of the command is quoted by the rules of whoever reads it, so that none of them is more than a word: systemd
//! expands `%` and `$` and knows C escapes; cron cuts a line at `%`, and hands it to a shell.

use std::fmt::Write;

use ops_policy::visible::visible;

/// What the first line of a unit holds that we wrote.
pub(crate) const MARK: &str = "# Written by `ops schedule install`";

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Every so many minutes, which divide an hour.
    Minutes(u8),
    /// Every so many hours, which divide a day.
    Hours(u8),
    /// At a time of each day or, from 0 for Sunday, one day of the week.
    At { day: Option<u8>, hour: u8, minute: u8 },
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl When {
    /// Reads `--every`: `15m`, `6h`, `1d`.
    ///
    /// # Errors
    ///
    /// Another text, or a time that does not divide an hour or a day: cron and calendars could not keep it.
    pub(crate) fn every(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse::<u8>().ok().filter(|number| *number > 0);
        let read = || match text.split_at_checked(text.len().checked_sub(1)?)? {
            (digits, "m") => {
                number(digits).filter(|minutes| 60 % minutes == 0).map(|minutes| match minutes {
                    60 => Self::Hours(1),
                    minutes => Self::Minutes(minutes),
                })
            }
            (digits, "h") => number(digits).filter(|hours| 24 % hours == 0).map(|hours| match hours {
                24 => Self::At { day: None, hour: 0, minute: 0 },
                hours => Self::Hours(hours),
            }),
            ("1", "d") => Some(Self::At { day: None, hour: 0, minute: 0 }),
            _ => None,
        };
        read().ok_or_else(|| {
            "write minutes that divide an hour, hours that divide a day, or 1d: 15m, 6h, 1d".into()
        })
    }

    /// Reads `--at`: `03:30`, or `Mon 03:30`.
    ///
    /// # Errors
    ///
    /// Another text.
    pub(crate) fn at(text: &str) -> Result<Self, String> {
        let two = |digits: &str| {
            (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| digits.parse().ok())?
        };
        let read = || {
            let (day, time) = match text.split_once(' ') {
                None => (None, text),
                Some((day, time)) => {
                    let place = DAYS.iter().position(|known| known.eq_ignore_ascii_case(day))?;
                    (Some(u8::try_from(place).ok()?), time)
                }
            };
            let (hour, minute) = time.split_once(':')?;
            let (hour, minute) = (two(hour)?, two(minute)?);
            (hour < 24 && minute < 60).then_some(Self::At { day, hour, minute })
        };
        read().ok_or_else(|| {
            "write a time, with a day of the week before it or none: 03:30, \"Mon 03:30\"".into()
        })
    }

    /// As `OnCalendar=` has it.
    pub(crate) fn calendar(self) -> String {
        match self {
            Self::Minutes(minutes) => format!("*-*-* *:0/{minutes}:00"),
            Self::Hours(hours) => format!("*-*-* 0/{hours}:00:00"),
            Self::At { day, hour, minute } => {
                let day = day.and_then(|day| DAYS.get(usize::from(day))).map(|day| format!("{day} "));
                format!("{}*-*-* {hour:02}:{minute:02}:00", day.unwrap_or_default())
            }
        }
    }

    /// As the first five fields of a crontab line.
    fn cron(self) -> String {
        match self {
            Self::Minutes(minutes) => format!("*/{minutes} * * * *"),
            Self::Hours(hours) => format!("0 */{hours} * * *"),
            Self::At { day, hour, minute } => {
                format!("{minute} {hour} * * {}", day.map_or_else(|| "*".to_owned(), |day| day.to_string()))
            }
        }
    }
}

/// A command to run, and when.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The capability, for people.
    pub(crate) capability: String,
    /// When.
    pub(crate) when: When,
    /// The words of the command; the first is the program's absolute path.
    pub(crate) command: Vec<String>,
    /// `XDG_STATE_HOME`, where it is set: the ledger is there.
    pub(crate) state_home: Option<String>,
}

impl Schedule {
    /// The service.
    ///
    /// Not `MemoryDenyWriteExecute`: components are compiled to machine code in the process that then runs it.
    pub(crate) fn service(&self) -> String {
        let mut text = format!(
            "{MARK}\n[Unit]\nDescription=ops cap run {}\n\n[Service]\nType=oneshot\n",
            self.capability
        );
        if let Some(home) = &self.state_home {
            let _ = writeln!(text, "Environment={}", quoted(&format!("XDG_STATE_HOME={home}"), false));
        }
        let words: Vec<_> =
            self.command.iter().enumerate().map(|(place, word)| quoted(word, place > 0)).collect();
        let _ = writeln!(text, "ExecStart={}", words.join(" "));
        text.push_str(
            "TimeoutStartSec=15min\nNice=5\nUMask=0077\nNoNewPrivileges=yes\nLockPersonality=yes\n\
             RestrictRealtime=yes\nRestrictSUIDSGID=yes\nSystemCallArchitectures=native\n",
        );
        text
    }

    /// The timer.
    pub(crate) fn timer(&self) -> String {
        format!(
            "{MARK}\n[Unit]\nDescription=ops cap run {}, on time\n\n[Timer]\nOnCalendar={}\nPersistent=true\n\n\
             [Install]\nWantedBy=timers.target\n",
            self.capability,
            self.when.calendar()
        )
    }

    /// The crontab line; none where a word has a line break, which no crontab can hold.
    pub(crate) fn crontab(&self) -> Option<String> {
        let state = self.state_home.iter().map(|home| format!("XDG_STATE_HOME={}", in_shell(home)));
        let words: Vec<_> = state.chain(self.command.iter().map(|word| in_shell(word))).collect();
        let line = format!("{} {}", self.when.cron(), words.join(" "));
        (!line.contains(['\n', '\r', '\0'])).then_some(line)
    }
}

/// A word for systemd, in double quotes. In arguments `$` stands for a variable; in the program's path it does not.
fn quoted(word: &str, is_argument: bool) -> String {
    let mut text = String::from("\"");
    for character in word.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '%' => text.push_str("%%"),
            '$' if is_argument => text.push_str("$$"),
            // C escapes; what is not ASCII stays, in UTF-8.
            character if character.is_ascii_control() => {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// A word for a shell, in single quotes, in a line that cron cuts at `%` unless a backslash stands before it. The quotes
/// are closed and opened again there, so that no backslash of the word itself comes before that one.
fn in_shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''").replace('%', "''\\%"))
}

/// What keeps a command from being written into a unit, in words.
pub(crate) fn refuse(command: &[String]) -> Option<String> {
    if let Some(program) = command
        .first()
        .filter(|program| program.contains(['$', '"', '\\', '\'']) || program.chars().any(char::is_control))
    {
        return Some(format!("{}: systemd cannot start a program of that path", visible(program)));
    }
    command
        .iter()
        .find(|word| word.contains('\0'))
        .map(|_| "a word of the command has a NUL in it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_for_both() {
        for (when, calendar, cron) in [
            (When::every("15m"), "*-*-* *:0/15:00", "*/15 * * * *"),
            (When::every("60m"), "*-*-* 0/1:00:00", "0 */1 * * *"),
            (When::every("6h"), "*-*-* 0/6:00:00", "0 */6 * * *"),
            (When::every("1d"), "*-*-* 00:00:00", "0 0 * * *"),
            (When::at("03:30"), "*-*-* 03:30:00", "30 3 * * *"),
            (When::at("mon 23:05"), "Mon *-*-* 23:05:00", "5 23 * * 1"),
            (When::at("Sun 00:00"), "Sun *-*-* 00:00:00", "0 0 * * 0"),
        ] {
            let when = when.unwrap();
            assert_eq!((when.calendar().as_str(), when.cron().as_str()), (calendar, cron));
        }
        for wrong in ["", "m", "0m", "7m", "90m", "5h", "2d", "1", "1w", "-5m", "é"] {
            assert!(When::every(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "3:30", "24:00", "03:60", "03.30", "Moo 03:30", "Mon  03:30", "03:30 Mon", "+3:30"]
        {
            assert!(When::at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_quoted_for_systemd() {
        assert_eq!(quoted("a b\"c\\d%e$f\n\u{1}é;", true), r#""a b\"c\\d%%e$$f\x0a\x01é;""#);
        assert_eq!(quoted("/x$y", false), r#""/x$y""#);
    }

    /// What cron does with a line, as its source has it: up to a `%` that no backslash escapes.
    fn through_cron(line: &str) -> String {
        let (mut out, mut escaped) = (String::new(), false);
        for character in line.chars() {
            if escaped {
                if character == '%' {
                    out.pop();
                }
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == '%' {
                break;
            }
            out.push(character);
        }
        out
    }

    #[test]
    fn words_come_through_cron_and_the_shell_as_they_were() {
        let words = ["plain", "", "it's", "100%", "\\%", "\\\\%'%", "$HOME `id` ;", "-n", "a\tb", "é"];
        let line = words.map(in_shell).join(" ");
        let script = format!("printf '%s|' {}", through_cron(&line));
        let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), words.map(|word| format!("{word}|")).concat());
    }

    #[test]
    fn a_line_break_has_no_crontab_line() {
        let mut schedule = Schedule {
            capability: "a.b".into(),
            when: When::Hours(1),
            command: vec!["/ops".into(), "a\nb".into()],
            state_home: None,
        };
        assert_eq!(schedule.crontab(), None);
        schedule.command.pop();
        assert_eq!(schedule.crontab().as_deref(), Some("0 */1 * * * '/ops'"));
        schedule.state_home = Some("/s t".into());
        assert_eq!(schedule.crontab().as_deref(), Some("0 */1 * * * XDG_STATE_HOME='/s t' '/ops'"));
        assert!(refuse(&["/a$b".into()]).is_some() && refuse(&["/a b".into(), "$".into()]).is_none());
    }
}
