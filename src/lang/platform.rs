//! `linux/amd64`, `linux/arm/v7`: platforms as people write them.

use crate::oci::image::Platform;

/// `None` when the text is none.
pub fn parse(text: &str) -> Option<Platform> {
    let mut parts = text.split('/');
    let (os, architecture, variant) = (parts.next()?, parts.next()?, parts.next());
    let is_word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let whole = [Some(os), Some(architecture), variant].into_iter().flatten().all(is_word);
    (whole && parts.next().is_none()).then(|| Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.or(usual_variant(architecture)).map(str::to_owned),
    })
}

/// As people write it: without the variant that is meant anyway.
pub fn short(platform: &Platform) -> String {
    let Platform { os, architecture, variant } = platform;
    match variant.as_deref() {
        Some(variant) if usual_variant(architecture) != Some(variant) => {
            format!("{os}/{architecture}/{variant}")
        }
        _ => format!("{os}/{architecture}"),
    }
}

/// What registries mean where they say no variant.
fn usual_variant(architecture: &str) -> Option<&'static str> {
    match architecture {
        "arm64" => Some("v8"),
        "arm" => Some("v7"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/arm64", Some("linux/arm64/v8")),
            ("linux/arm/v6", Some("linux/arm/v6")),
            ("linux", None),
            ("linux/", None),
            ("a/b/c/d", None),
        ] {
            assert_eq!(parse(text).map(|platform| platform.to_string()).as_deref(), expected, "{text}");
        }
    }
}
