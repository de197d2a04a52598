//! Takes secrets out of what a command writes, however the pieces are cut in which it comes. Every byte of every
//! occurrence goes, overlapping ones too; what is masked at a stretch reads `***`.

use crate::base::hidden::Hidden;
use crate::exec::secrets::forms::forms;
use crate::store::traffic::Traffic;

const MASK: &[u8] = b"***";

/// What is taken out of the output of one run.
#[derive(Default)]
pub struct Masks {
    /// By first byte.
    forms: Vec<(u8, Vec<Hidden>)>,
}

/// One stream on its way.
pub struct Masking<'m> {
    masks: &'m Masks,
    /// What may be the beginning of an occurrence.
    held: Vec<u8>,
    /// How much of that is part of one that began before.
    covered: usize,
    /// Whether the last byte that left was masked.
    masked: bool,
}

impl Masks {
    pub fn of<'h>(secrets: impl IntoIterator<Item = &'h Hidden>) -> Masks {
        let mut masks = Masks::default();
        for form in secrets.into_iter().flat_map(|secret| forms(secret.bytes())) {
            let first = form[0];
            let form = Hidden::new(form);
            match masks.forms.iter_mut().find(|(byte, _)| *byte == first) {
                Some((_, forms)) => forms.push(form),
                None => masks.forms.push((first, vec![form])),
            }
        }
        masks
    }

    pub fn stream(&self) -> Masking<'_> {
        Masking { masks: self, held: Vec::new(), covered: 0, masked: false }
    }

    /// All of it, masked.
    pub fn masked(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.stream();
        let mut masked = stream.push(bytes);
        masked.extend(stream.finish());
        masked
    }

    pub fn masked_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.masked(text.as_bytes())).into_owned()
    }

    /// Names and addresses may carry a value, where a command puts it there. What was asked for is not shown then, so
    /// that nothing can be pinned by it.
    pub fn hide_in(&self, traffic: &mut Traffic) {
        let hosts = traffic.hosts.iter_mut().map(|host| &mut host.host);
        let refused = traffic.refused.iter_mut().map(|refused| &mut refused.host);
        hosts.chain(refused).for_each(|name| *name = self.masked_text(name));
        for answer in &mut traffic.answers {
            let url = self.masked_text(&answer.url);
            let location = answer.location.as_deref().map(|location| self.masked_text(location));
            answer.is_hidden |= url != answer.url || location != answer.location;
            (answer.url, answer.location) = (url, location);
        }
    }

    /// How far an occurrence reaches that begins `bytes`. `None` where that shows only with what comes next.
    fn reach(&self, bytes: &[u8], is_last: bool) -> Option<usize> {
        let Some((_, forms)) = self.forms.iter().find(|(first, _)| *first == bytes[0]) else {
            return Some(0);
        };
        let mut reach = 0;
        for form in forms.iter().map(Hidden::bytes) {
            if bytes.starts_with(form) {
                reach = reach.max(form.len());
            } else if !is_last && form.starts_with(bytes) {
                return None;
            }
        }
        Some(reach)
    }
}

impl Masking<'_> {
    /// What can be told by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.masks.forms.is_empty() {
            return bytes.to_owned();
        }
        self.held.extend_from_slice(bytes);
        self.leave(false)
    }

    /// The rest, when no more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        self.leave(true)
    }

    fn leave(&mut self, is_last: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let Some(reach) = self.masks.reach(&self.held[at..], is_last) else { break };
            self.covered = self.covered.max(at + reach);
            let is_masked = at < self.covered;
            match (is_masked, self.masked) {
                (false, _) => out.push(self.held[at]),
                (true, false) => out.extend_from_slice(MASK),
                (true, true) => {}
            }
            self.masked = is_masked;
            at += 1;
        }
        self.held.drain(..at);
        self.covered = self.covered.saturating_sub(at);
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::store::traffic::{Answer, Refused};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        let secrets: Vec<Hidden> = secrets.iter().map(|secret| Hidden::new(*secret)).collect();
        Masks::of(&secrets)
    }

    fn check(secrets: &[&str], text: &str, expected: &str) {
        assert_eq!(masks(secrets).masked_text(text), expected, "{secrets:?} in {text}");
    }

    #[test]
    fn every_occurrence_goes() {
        check(&["token"], "a token, tokens, toke", "a ***, ***s, toke");
        check(&["token"], "tokentoken", "***");
        check(&["abc", "bcd"], "xabcdx", "x***x");
        check(&["aa"], "aaab", "***b");
        check(&["abcabd"], "abcabcabd", "abc***");
        check(&["ab", "abcdef"], "abcde abcdef", "***cde ***");
        check(&[], "all of it", "all of it");
        check(&["", "\n"], "all\nof it", "all\nof it");
        check(&["first line\nlast line\n"], "first line\nlast line\nand last line", "***\nand ***");
        check(&["a\"b"], r#"{"key":"a\"b"}"#, r#"{"key":"***"}"#);
    }

    #[test]
    fn what_cannot_be_one_is_not_held_back() {
        let masks = masks(&["token"]);
        let mut stream = masks.stream();
        assert_eq!(stream.push(b"ready: to"), b"ready: ");
        assert_eq!(stream.push(b"day"), b"today");
        assert_eq!(stream.push(b"tok"), b"");
        assert_eq!(stream.finish(), b"tok");
    }

    /// Few letters, so that nearly everything overlaps.
    fn text(most: usize) -> impl Strategy<Value = String> {
        proptest::string::string_regex(&format!("[ab\n]{{0,{most}}}")).unwrap()
    }

    /// Which bytes of `text` are part of an occurrence, by looking at every place.
    fn covered(secrets: &[String], text: &[u8]) -> Vec<bool> {
        let mut covered = vec![false; text.len()];
        for form in secrets.iter().flat_map(|secret| forms(secret.as_bytes())) {
            for at in 0..text.len() {
                if text[at..].starts_with(&form) {
                    covered[at..at + form.len()].fill(true);
                }
            }
        }
        covered
    }

    #[test]
    fn what_was_reached_shows_no_value() {
        let hidden = [Hidden::new("hunter22")];
        let masks = Masks::of(&hidden);
        let mut open = Traffic::default();
        open.answers.push(Answer::of("http://a.example/file"));
        let mut telling = Traffic::default();
        telling.answers.push(Answer::of("http://a.example/file?key=hunter22"));
        telling.refused.push(Refused { host: "hunter22.example".to_owned(), port: None, inside: false });
        masks.hide_in(&mut open);
        masks.hide_in(&mut telling);
        assert_eq!(open.answers, [Answer::of("http://a.example/file")]);
        assert_eq!(telling.answers[0].url, "http://a.example/file?key=***");
        assert!(telling.answers[0].is_hidden);
        assert_eq!(telling.refused[0].host, "***.example");
    }

    proptest! {
        /// However it is cut: exactly what is no part of an occurrence comes through.
        #[test]
        fn any_cut_is_the_same(secrets in vec(text(6), 0..4), text in text(60), cuts in vec(0..9_usize, 0..40)) {
            let hidden: Vec<Hidden> = secrets.iter().map(|secret| Hidden::new(secret.as_bytes())).collect();
            let masks = Masks::of(&hidden);
            let mut stream = masks.stream();
            let (mut found, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                found.extend(stream.push(piece));
                rest = later;
            }
            found.extend(stream.push(rest));
            found.extend(stream.finish());
            let mut expected = Vec::new();
            let mut was_covered = false;
            for (&byte, is_covered) in text.as_bytes().iter().zip(covered(&secrets, text.as_bytes())) {
                match (is_covered, was_covered) {
                    (false, _) => expected.push(byte),
                    (true, false) => expected.extend(MASK),
                    (true, true) => {}
                }
                was_covered = is_covered;
            }
            prop_assert_eq!(found, expected);
        }
    }
}
