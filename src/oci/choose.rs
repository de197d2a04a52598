//! Which of the images that an index lists is meant. Pure: reads no file.

use crate::base::digest::OciDigest;
use crate::oci::error::OciError;
use crate::oci::image::Platform;
use crate::oci::manifest::Listed;

/// The entries that a tag or a digest names; without either, those of the only image there is.
/// Several are left where they stand for one image on several platforms.
pub(crate) fn by_reference(listed: Vec<Listed>, reference: Option<&str>) -> Result<Vec<Listed>, OciError> {
    let mut held: Vec<String> = listed.iter().map(label).collect();
    held.sort();
    held.dedup();
    let Some(reference) = reference else {
        let is_same = |entry: &Listed| {
            (&entry.descriptor, &entry.platform) == (&listed[0].descriptor, &listed[0].platform)
        };
        if !listed.is_empty() && listed.iter().all(is_same) {
            return Ok(listed.into_iter().take(1).collect());
        }
        let one_image = held.len() == 1
            || listed.iter().all(|entry| entry.reference().is_none() && entry.platform.is_some());
        return match (listed.is_empty(), one_image) {
            (true, _) => Err(OciError::NoImage { reference: "latest".to_owned(), held }),
            (false, true) => Ok(listed),
            (false, false) => Err(OciError::SeveralImages(held)),
        };
    };
    let digest: Option<OciDigest> = reference.parse().ok();
    let named =
        |entry: &Listed| entry.reference() == Some(reference) || Some(entry.descriptor.digest) == digest;
    let found: Vec<_> = listed.into_iter().filter(named).collect();
    if found.is_empty() {
        return Err(OciError::NoImage { reference: reference.to_owned(), held });
    }
    Ok(found)
}

/// The entry that fits the platform best.
pub(crate) fn by_platform(listed: Vec<Listed>, wanted: &Platform) -> Result<Listed, OciError> {
    let held = listed.iter().filter_map(|entry| entry.platform.as_ref()).map(show).collect();
    let ranked = listed.into_iter().filter_map(|entry| {
        let rank = match &entry.platform {
            Some(found) => distance(wanted, found)?,
            None => u32::MAX,
        };
        Some((rank, entry))
    });
    // The first of equals, as the specification wants (image-index.md, "manifests").
    match ranked.min_by_key(|(rank, _)| *rank) {
        Some((_, entry)) => Ok(entry),
        None => Err(OciError::NoPlatform { wanted: show(wanted), held }),
    }
}

/// `None` where programs for `found` do not run on `wanted`; else how far it stays behind.
pub(crate) fn distance(wanted: &Platform, found: &Platform) -> Option<u32> {
    if (&wanted.os, &wanted.architecture) != (&found.os, &found.architecture) {
        return None;
    }
    let (wanted, found) = (variant(wanted), variant(found));
    if wanted == found {
        return Some(0);
    }
    let number = |variant: &str| variant.strip_prefix('v')?.parse::<u32>().ok();
    number(wanted)?.checked_sub(number(found)?)
}

pub(crate) fn show(platform: &Platform) -> String {
    let Platform { os, architecture, variant } = platform;
    match variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

/// What no variant means (image-spec, image-index.md, "Platform Variants"; Go's defaults).
fn variant(platform: &Platform) -> &str {
    match (platform.architecture.as_str(), platform.variant.as_deref()) {
        (_, Some(variant)) => variant,
        ("arm64", None) => "v8",
        ("arm", None) => "v7",
        ("amd64", None) => "v1",
        (_, None) => "",
    }
}

fn label(entry: &Listed) -> String {
    match entry.reference() {
        Some(reference) => reference.to_owned(),
        None => entry.descriptor.digest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::descriptor::Descriptor;
    use crate::oci::manifest::REFERENCE;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform { os: parts.next().unwrap(), architecture: parts.next().unwrap(), variant: parts.next() }
    }

    fn listed(text: &str, reference: Option<&str>) -> Listed {
        Listed {
            descriptor: Descriptor::of("m", text.as_bytes()),
            platform: (!text.is_empty()).then(|| platform(text)),
            annotations: reference.map(|name| (REFERENCE.to_owned(), name.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn nearest_platform() {
        for (held, wanted, expected) in [
            (&["linux/amd64", "linux/arm64/v8"][..], "linux/arm64", Some(1)),
            (&["linux/arm/v6", "linux/arm/v5"], "linux/arm/v7", Some(0)),
            (&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", Some(1)),
            (&["linux/arm/v7"], "linux/arm/v6", None),
            (&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1)),
            (&["linux/amd64", "linux/amd64/v1"], "linux/amd64", Some(0)),
            (&["windows/amd64", "unknown/unknown"], "linux/amd64", None),
            (&["", "linux/amd64"], "linux/amd64", Some(1)),
            (&[""], "linux/amd64", Some(0)),
        ] {
            let entries: Vec<_> = held.iter().map(|text| listed(text, None)).collect();
            let found = by_platform(entries.clone(), &platform(wanted));
            match expected {
                Some(at) => assert_eq!(found.unwrap(), entries[at], "{held:?} {wanted}"),
                None => assert!(matches!(found, Err(OciError::NoPlatform { .. })), "{held:?} {wanted}"),
            }
        }
    }

    #[test]
    fn references() {
        let (a, b) = (listed("linux/amd64", Some("a")), listed("linux/arm64", Some("b")));
        let both = vec![a.clone(), b.clone()];
        assert_eq!(by_reference(both.clone(), Some("a")).unwrap(), std::slice::from_ref(&a));
        assert_eq!(by_reference(both.clone(), Some(&b.descriptor.digest.to_string())).unwrap(), [b]);
        assert_eq!(by_reference(vec![a.clone()], None).unwrap(), [a]);
        let message = by_reference(both.clone(), None).unwrap_err().to_string();
        assert_eq!(message, "the layout holds several images: name one of a, b");
        let message = by_reference(both, Some("c")).unwrap_err().to_string();
        assert_eq!(message, "the layout holds no image `c`; it holds a, b");
        assert!(matches!(by_reference(vec![], None), Err(OciError::NoImage { .. })));
    }

    #[test]
    fn one_image_under_several_names_needs_none() {
        let (one, two) = (listed("linux/amd64", Some("1")), listed("linux/amd64", Some("2")));
        assert_eq!(by_reference(vec![one.clone(), two], None).unwrap(), std::slice::from_ref(&one));
        let elsewhere = Listed { platform: Some(platform("linux/arm64")), ..one.clone() };
        assert_eq!(by_reference(vec![one.clone(), elsewhere.clone()], Some("1")).unwrap(), [one, elsewhere]);
    }

    #[test]
    fn one_image_on_several_platforms_needs_no_name() {
        let both = vec![listed("linux/amd64", None), listed("linux/arm64", None)];
        assert_eq!(by_reference(both.clone(), None).unwrap(), both);
        let unnamed = vec![listed("linux/amd64", None), listed("", None)];
        assert!(matches!(by_reference(unnamed, None), Err(OciError::SeveralImages(_))));
    }
}
