//! Why a glob takes nothing: which files it would take, were it not for ignore files.
//! Lists directories, reads nothing but ignore files. Only done when a scan has failed already.

use crate::tree::scan::folder::{Folder, Kind, Listing, name_at};
use crate::tree::scan::ignores::Rule;
use crate::tree::scan::place::Place;
use crate::tree::scan::walk::{Scope, Walk};
use crate::tree::scan::{Ignored, ScanError};

impl Walk<'_> {
    /// `None` where nothing matches, ignored or not.
    pub(crate) fn count_ignored(
        &self,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
    ) -> Result<Option<Ignored>, ScanError> {
        let mut count = Count::default();
        self.count(folder, place, scope, None, &mut count)?;
        Ok(count.first.map(|Rule { file, line, pattern }| Ignored {
            count: count.files,
            file,
            line,
            pattern,
        }))
    }

    /// `ignored`: by which rule the directory, and with it all below, is left out.
    fn count(
        &self,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
        ignored: Option<&Rule>,
        count: &mut Count,
    ) -> Result<(), ScanError> {
        self.enter(folder, place, scope, |folder, scope| {
            let record = self.record(folder);
            let position = self.filter.at(self.relative(place.path()));
            let ignore_files = self.ignore_files.at(self.relative(place.path()));
            let listing = folder.listing.as_mut().expect("bug: just listed");
            let Listing { names, slots, .. } = listing;
            for slot in slots {
                let name = name_at(names, slot.start);
                let path = place.path_of(name.to_bytes());
                let directory = slot.kind == Kind::Directory;
                if scope.leaves_out(name.to_bytes()) {
                    continue;
                }
                let rule = match (ignored, scope.ignores) {
                    (Some(rule), _) => Some(rule.clone()),
                    (None, Some(ignores)) => ignores.rule(&path, directory)?,
                    (None, None) => None,
                };
                let rule = rule.or_else(|| ignore_files.rule(self.relative(&path), directory));
                if directory && position.enters(self.relative(&path)) {
                    let below = scope.below(name.to_bytes());
                    let child = slot.child_folder(record);
                    self.count(child, &place.below(name)?, &below, rule.as_ref(), count)?;
                } else if !directory
                    && let Some(rule) = rule
                    && position.takes(self.relative(&path), &mut position.no_matches())
                {
                    count.files += 1;
                    count.first.get_or_insert(rule);
                }
            }
            Ok(())
        })
    }
}

#[derive(Default)]
struct Count {
    files: u64,
    first: Option<Rule>,
}
