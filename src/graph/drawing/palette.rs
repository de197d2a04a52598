//! Colours by kind, for light and for dark pages. Colour is never the only sign: every box names its kind.

use std::fmt::Write as _;

/// A group of kinds that share their colours, as the classes of the style sheet name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) class: &'static str,
    light: Shades,
    dark: Shades,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shades {
    /// Of a box.
    fill: u32,
    /// Of its small text, its border and its edges.
    strong: u32,
}

/// Of the page.
#[derive(Debug, Clone, Copy)]
struct Page {
    background: u32,
    text: u32,
    muted: u32,
}

const LIGHT: Page = Page { background: 0xff_ffff, text: 0x1b_2128, muted: 0x57_606a };
const DARK: Page = Page { background: 0x0e_1218, text: 0xe8_edf3, muted: 0x9b_a6b2 };

const fn family(class: &'static str, light: (u32, u32), dark: (u32, u32)) -> Family {
    Family {
        class,
        light: Shades { fill: light.0, strong: light.1 },
        dark: Shades { fill: dark.0, strong: dark.1 },
    }
}

const FILES: Family = family("files", (0xe6_f5ec, 0x1a_6f40), (0x10_2a1d, 0x72_d6a0));
const REMOTE: Family = family("remote", (0xe5_f0fd, 0x15_58ad), (0x0f_2542, 0x84_b6ff));
const RUN: Family = family("run", (0xfd_f1dc, 0x8a_5406), (0x30_240f, 0xf0_bd62));
const TREE: Family = family("tree", (0xdf_f4f5, 0x0a_6672), (0x0b_2b31, 0x66_d1dc));
const IMAGE: Family = family("image", (0xed_e9fe, 0x51_3bbd), (0x25_1f4d, 0xb8_abff));
const TEST: Family = family("test", (0xfd_e8f1, 0xa3_2160), (0x38_1527, 0xff_98c4));
const CHECK: Family = family("check", (0xf1_f5d6, 0x56_6207), (0x27_2c0f, 0xc6_d766));
const OTHER: Family = family("other", (0xee_f0f3, 0x4c_5560), (0x1f_252d, 0xb0_bac5));

const FAMILIES: [Family; 8] = [FILES, REMOTE, RUN, TREE, IMAGE, TEST, CHECK, OTHER];

impl Family {
    /// Sources first.
    pub(super) fn rank(self) -> usize {
        FAMILIES.iter().position(|family| *family == self).unwrap_or(FAMILIES.len())
    }

    pub(super) fn of(kind: &str) -> Family {
        match kind {
            "files" => FILES,
            "pull" | "http" | "git" => REMOTE,
            "run" => RUN,
            "tree" => TREE,
            "image" => IMAGE,
            "test" => TEST,
            "check" => CHECK,
            _ => OTHER,
        }
    }
}

/// The style sheet. Light is written first and plainly: some viewers know no media queries.
pub(super) fn style() -> String {
    let mut page = String::from(
        "text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;font-size:11px}\
         \n.name{font-family:ui-monospace,\"SF Mono\",SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;font-size:13px;font-weight:600}\
         \n.e path{fill:none;stroke-width:1.4;stroke-opacity:.62}\n.e .tip{stroke:none;fill-opacity:.9}\
         \n.e.hub path{stroke-opacity:.4}\n.e:hover path{stroke-width:2.6;stroke-opacity:1}\
         \n.n .card{stroke-width:1;stroke-opacity:.5}\n.n.default .card{stroke-width:2;stroke-opacity:1}\
         \n.badge{font-size:9.5px;font-weight:600;letter-spacing:.3px}\n",
    );
    page += &colours(LIGHT, |family| family.light);
    let _ = writeln!(page, "@media (prefers-color-scheme:dark){{\n{}}}", colours(DARK, |family| family.dark));
    page
}

fn colours(page: Page, shades: fn(&Family) -> Shades) -> String {
    let Page { background, text, muted } = page;
    let mut rules = format!(
        ".page,.badge{{fill:#{background:06x}}}\n.name,.word{{fill:#{text:06x}}}\n.count{{fill:#{muted:06x}}}\n"
    );
    for family in &FAMILIES {
        let (Shades { fill, strong }, class) = (shades(family), family.class);
        let _ = writeln!(
            rules,
            ".{class} .card{{fill:#{fill:06x};stroke:#{strong:06x}}}.{class} .bar,.{class} .kind,.{class} .tip{{fill:#{strong:06x}}}\
             .{class}.e path{{stroke:#{strong:06x}}}"
        );
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast of WCAG 2.1.
    fn luminance(colour: u32) -> f64 {
        let part = |shift: u32| {
            let part = f64::from(colour >> shift & 0xff) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    }

    fn contrast(one: u32, other: u32) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_can_be_read() {
        for (page, shades) in
            [(LIGHT, FAMILIES.map(|family| family.light)), (DARK, FAMILIES.map(|family| family.dark))]
        {
            assert!(contrast(page.muted, page.background) >= 4.5);
            for Shades { fill, strong } in shades {
                assert!(contrast(page.text, fill) >= 7.0, "{fill:06x}");
                assert!(contrast(strong, fill) >= 4.5, "{strong:06x} on {fill:06x}");
                assert!(contrast(page.background, strong) >= 4.5, "the badge on {strong:06x}");
            }
        }
    }
}
