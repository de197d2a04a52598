//! What a `401` asks for: `WWW-Authenticate` (RFC 9110, 11.6.1), as registries use it. Reads text, and asks nobody.

use std::iter::Peekable;
use std::str::Chars;

/// How a server wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::net) enum Challenge {
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// The one to answer, of all the headers: a token is given to the registry in place of a password.
pub(in crate::net) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let found: Vec<Challenge> = headers.flat_map(read).collect();
    let bearer = found.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(found.first()).cloned()
}

/// `Scheme key=value, key="value", Scheme …`; what is not understood is left out.
fn read(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut symbols = header.chars().peekable();
    loop {
        skip(&mut symbols, |symbol| symbol == ',' || symbol.is_whitespace());
        let word = take(&mut symbols, |symbol| !symbol.is_whitespace() && symbol != '=' && symbol != ',');
        skip(&mut symbols, char::is_whitespace);
        let is_parameter = symbols.peek() == Some(&'=');
        match (word.is_empty(), is_parameter) {
            (true, false) => break,
            (_, false) => found.push((word.to_ascii_lowercase(), Vec::new())),
            (_, true) => {
                symbols.next();
                skip(&mut symbols, char::is_whitespace);
                let value = value(&mut symbols);
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
            }
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| understand(&scheme, &parameters)).collect()
}

fn understand(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let parameter =
        |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") }),
        _ => None,
    }
}

/// A token, or a text in quotes with `\` before what would end it.
fn value(symbols: &mut Peekable<Chars<'_>>) -> String {
    if symbols.next_if_eq(&'"').is_none() {
        return take(symbols, |symbol| symbol != ',' && !symbol.is_whitespace());
    }
    let mut value = String::new();
    while let Some(symbol) = symbols.next() {
        match symbol {
            '"' => break,
            '\\' => value.extend(symbols.next()),
            _ => value.push(symbol),
        }
    }
    value
}

fn skip(symbols: &mut Peekable<Chars<'_>>, is: impl Fn(char) -> bool) {
    while symbols.next_if(|symbol| is(*symbol)).is_some() {}
}

fn take(symbols: &mut Peekable<Chars<'_>>, is: impl Fn(char) -> bool) -> String {
    std::iter::from_fn(|| symbols.next_if(|symbol| is(*symbol))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn challenges() {
        for (headers, expected) in [
            (
                vec![r#"Bearer realm="https://a.io/t",service="r",scope="repository:x:pull,push""#],
                bearer("https://a.io/t", Some("r")),
            ),
            (vec![r#"bearer Realm = "https://a.io/t" , service=r"#], bearer("https://a.io/t", Some("r"))),
            (vec![r#"Bearer realm="a, \"b\\\" c=d",service=r"#], bearer(r#"a, "b\" c=d"#, Some("r"))),
            (vec![r#"Basic realm="x", Bearer realm="https://a.io/t""#], bearer("https://a.io/t", None)),
            (vec![r#"Basic realm="x""#, r#"Bearer realm="https://a.io/t""#], bearer("https://a.io/t", None)),
            (vec!["Basic"], Some(Challenge::Basic)),
            (vec![r#"Negotiate, Basic realm="x, y""#], Some(Challenge::Basic)),
            (vec!["Negotiate abc=="], None),
            (vec!["Bearer service=r"], None),
            (vec![r#"Bearer realm="open"#], bearer("open", None)),
            (vec!["", ",,", "=", "==,=\""], None),
            (vec![], None),
        ] {
            assert_eq!(choose(headers.clone().into_iter()), expected, "{headers:?}");
        }
    }

    proptest::proptest! {
        /// Whatever a server sends, it is read to its end.
        #[test]
        fn no_header_is_too_strange(header in ".{0,40}|[a-zB =,\"\\\\]{0,40}") {
            let _ = choose(std::iter::once(header.as_str()));
        }
    }
}
