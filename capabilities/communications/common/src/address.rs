//! Mail addresses that every mail server takes.

use addr_spec::AddrSpec;

/// The longest address (RFC 5321, section 4.5.3.1), in bytes.
const LONGEST: usize = 254;

/// Reads an address: no display name, no quotes, no comments, no address literal, ASCII, at most 254 bytes.
///
/// # Errors
/// What is wrong with it, as words that follow its name.
pub fn address(text: &str) -> Result<AddrSpec, String> {
    let address: AddrSpec = text.parse().map_err(|_| "is not a mail address such as alice@example.test")?;
    if !text.is_ascii() || address.is_quoted() || text.len() > LONGEST {
        return Err(format!("is not a plain mail address of at most {LONGEST} ASCII characters"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["alice@example.test", "a.b+c@EXAMPLE.test", "o'brien@example.test"] {
            assert_eq!(address(good).unwrap().to_string(), good);
        }
        let long = format!("{}@example.test", "a".repeat(250));
        for bad in [
            "",
            "alice",
            "@example.test",
            "alice@",
            "a@b@c",
            "Alice <alice@example.test>",
            "alice@example.test,bob@example.test",
            "a b@example.test",
            "\"a b\"@example.test",
            "alice@example.test\r\nBcc: x@y.z",
            "alice@example.test ",
            "alice@[127.0.0.1]",
            "älice@example.test",
            "alice@exämple.test",
            "a..b@example.test",
            "a@example..test",
            &long,
        ] {
            assert!(address(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
