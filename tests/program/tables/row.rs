//! The fields of a row's input, with escapes undone.

/// The fields. Bytes, because a body need not be text.
pub(super) fn fields(input: &str) -> Vec<Vec<u8>> {
    input.split(" | ").map(unescape).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let kind = escape.chars().next().unwrap_or_else(|| panic!("`{text}` ends with a backslash"));
        let after = &escape[kind.len_utf8()..];
        rest = match kind {
            '\\' => {
                bytes.push(b'\\');
                after
            }
            'e' => after,
            'p' => {
                bytes.push(b'|');
                after
            }
            'x' => {
                bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
                &after[2..]
            }
            'u' => {
                let (digits, rest) = after.strip_prefix('{').and_then(|rest| rest.split_once('}')).unwrap();
                let character = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
                bytes.extend_from_slice(character.to_string().as_bytes());
                rest
            }
            '{' => {
                let (count, rest) = after.split_once('*').unwrap();
                let (part, rest) = rest.split_once('}').unwrap();
                bytes.extend_from_slice(part.repeat(count.parse().unwrap()).as_bytes());
                rest
            }
            other => panic!("`\\{other}` in `{text}` is no escape; see tests/tables/README.md"),
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
