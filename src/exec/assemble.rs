//! Composes trees, root filesystems and images. Starts no process and touches no file system:
//! everything is trees in the memo.

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::exec::landing::Landing;
use crate::exec::owner::owner_ids;
use crate::graph::action::ActionInput;
use crate::graph::image_settings::ImageSettings;
use crate::graph::op::{Assemble, Composition, From, Mode, Owner, Place};
use crate::graph::value::Value;
use crate::oci::extract::extract;
use crate::oci::image::{Image, Layer, Platform, Rootfs};
use crate::oci::supply::Supply;
use crate::oci::unpack::Budget;
use crate::store::memo::Memo;
use crate::tree::edit::{self, NewMode, Stamp};
use crate::tree::flatten::flatten;
use crate::tree::follow::follow;
use crate::tree::mode_change::BadModeChange;
use crate::tree::tree::{Content, Entry, Metadata};

/// The composed value. `platform` is that of an image that does not stand on one.
pub fn assemble(
    supply: &Supply,
    assemble: &Assemble,
    inputs: &[ActionInput],
    platform: &Platform,
) -> Result<Value, ExecError> {
    let (base, platform) = base(assemble.from, inputs, platform)?;
    let composer =
        Composer { supply, memo: supply.memo(), inputs, has_root: matches!(assemble.from, From::Input(_)) };
    match &assemble.result {
        Composition::Tree => {
            debug_assert_eq!(assemble.from, From::Nothing, "bug: a tree stands on nothing");
            composer.tree(&assemble.layers)
        }
        Composition::Rootfs => {
            let rootfs = composer.rootfs(base, &assemble.layers)?;
            Ok(Value::Rootfs(Box::new(rootfs)))
        }
        Composition::Image(settings) => {
            let rootfs = composer.rootfs(base, &assemble.layers)?;
            let image = image(supply, rootfs, settings, platform)?;
            Ok(Value::Image(Box::new(image)))
        }
    }
}

fn base<'a>(
    from: From,
    inputs: &'a [ActionInput],
    platform: &'a Platform,
) -> Result<(Rootfs, &'a Platform), ExecError> {
    let input = match from {
        From::Nothing | From::Scratch => return Ok((Rootfs::default(), platform)),
        From::Input(index) => &inputs[index],
        From::Host(index) => return Err(wrong_type(&inputs[index], "a rootfs or an image")),
    };
    let platform = match &input.value {
        Value::Image(image) => &image.platform,
        _ => platform,
    };
    let rootfs = input.value.rootfs().ok_or_else(|| wrong_type(input, "a rootfs or an image"))?;
    Ok((rootfs.clone(), platform))
}

fn image(
    supply: &Supply,
    mut rootfs: Rootfs,
    settings: &ImageSettings,
    platform: &Platform,
) -> Result<Image, ExecError> {
    if settings.squash && !rootfs.layers.is_empty() {
        let tree = flatten(supply.memo(), &supply.trees(&rootfs.layers)?)?;
        rootfs.layers = vec![Layer::Made(tree)];
        rootfs.config.history.clear();
    }
    settings.config.apply(&mut rootfs.config);
    Ok(Image {
        rootfs,
        platform: platform.clone(),
        packing: settings.packing,
        names: settings.names.clone(),
        annotations: settings.annotations.clone(),
        index_annotations: settings.index_annotations.clone(),
        descriptor_annotations: settings.descriptor_annotations.clone(),
        created: settings.created,
    })
}

struct Composer<'a> {
    supply: &'a Supply,
    memo: &'a Memo,
    inputs: &'a [ActionInput],
    /// Whether there is a root whose users can be asked for.
    has_root: bool,
}

impl Composer<'_> {
    fn tree(&self, layers: &[Vec<Place>]) -> Result<Value, ExecError> {
        let mut landing = Landing::on(self.supply, &[])?;
        for place in layers.iter().flatten() {
            self.place(&mut landing, place)?;
        }
        Ok(Value::Tree(Entry::directory(landing.finish())))
    }

    fn rootfs(&self, mut rootfs: Rootfs, layers: &[Vec<Place>]) -> Result<Rootfs, ExecError> {
        for places in layers {
            let mut landing = Landing::on(self.supply, &rootfs.layers)?;
            for place in places {
                self.place(&mut landing, place)?;
            }
            let layer = landing.finish();
            rootfs.layers.push(Layer::Made(layer));
        }
        Ok(rootfs)
    }

    fn place(&self, landing: &mut Landing<'_>, place: &Place) -> Result<(), ExecError> {
        match place {
            Place::Copy { input, to, into, name, owner, mode, follow } => {
                let entry = if *follow { self.followed(*input)? } else { self.entry(*input)?.clone() };
                let stamp = self.stamp(landing, owner.as_ref(), mode.as_ref())?;
                let entry = edit::stamp(self.memo, &entry, &stamp)?;
                if entry.is_directory() {
                    landing.land_directory(to, entry)
                } else if *into {
                    let name = name.as_ref().ok_or_else(|| nameless(to))?;
                    landing.land_file(&to.join(name.as_bytes()), entry)
                } else {
                    landing.land_file(to, entry)
                }
            }
            Place::Extract { input, to, strip } => {
                let tree = self.extract(*input, *strip)?;
                landing.land_directory(to, Entry::directory(tree))
            }
            Place::Merge { inputs, conflicts_fail } => {
                let tree = self.merge(inputs, *conflicts_fail)?;
                Ok(landing.lay(tree)?)
            }
            Place::Each { copies } => {
                self.check_apart(copies)?;
                copies.iter().try_for_each(|copy| self.place(landing, copy))
            }
            Place::File { path, text, mode } => {
                let blob = self.memo.write_blob(text.as_bytes())?;
                landing.land_file(path, Entry::file(blob, text.len() as u64, *mode))
            }
            Place::Dir { path, mode } => landing.make_directory(path, *mode),
            Place::Symlink { path, target } => {
                let content = Content::Symlink { target: target.as_bytes().to_vec() };
                landing.land_file(path, Entry { metadata: Metadata::plain(0o777), content })
            }
            Place::Remove { globs } => landing.remove(globs),
        }
    }

    fn extract(&self, index: usize, strip: u32) -> Result<TreeDigest, ExecError> {
        let input = &self.inputs[index];
        let Content::File { blob, .. } = self.entry(index)?.content else {
            return Err(wrong_type(input, "an archive"));
        };
        extract(self.memo, blob, strip, Budget::DEFAULT)
            .map_err(|error| ExecError::from(error).about(&input.slot))
    }

    fn followed(&self, index: usize) -> Result<Entry, ExecError> {
        let followed = follow(self.memo, self.entry(index)?);
        followed.map_err(|error| ExecError::from(error).about(&self.inputs[index].slot))
    }

    /// The owners and modes that the build file gives to what lands.
    fn stamp(
        &self,
        landing: &Landing<'_>,
        owner: Option<&Owner>,
        mode: Option<&Mode>,
    ) -> Result<Stamp, ExecError> {
        let owner = owner.map(|owner| self.owner(landing, owner)).transpose()?;
        let mode = match mode {
            None => None,
            Some(Mode::Exact(mode)) => Some(NewMode::Exact(*mode)),
            Some(Mode::Symbolic(text)) => Some(NewMode::Changed(text.parse().map_err(no_mode)?)),
        };
        Ok(Stamp { owner, mode })
    }

    fn owner(&self, landing: &Landing<'_>, owner: &Owner) -> Result<(u32, u32), ExecError> {
        let root = self.has_root.then(|| landing.root()).transpose()?;
        owner_ids(self.memo, root.as_ref(), &owner.0)
    }

    fn merge(&self, inputs: &[usize], conflicts_fail: bool) -> Result<TreeDigest, ExecError> {
        let mut merged = edit::merge(self.memo, &[])?;
        for &index in inputs {
            let input = &self.inputs[index];
            let tree = self.entry(index)?.tree().ok_or_else(|| wrong_type(input, "a directory"))?;
            if conflicts_fail && let Some(path) = edit::clash(self.memo, merged, tree, &differs)? {
                return Err(ExecError::Input {
                    message: format!("`{path}` of {} is in another input with other content", input.slot),
                    help: "exclude one of the two, or let the later win with `conflicts=last`".to_owned(),
                });
            }
            merged = edit::merge(self.memo, &[merged, tree])?;
        }
        Ok(merged)
    }

    /// Each lands by itself, without owners: those have names in the root, and are the same for all.
    fn check_apart(&self, copies: &[Place]) -> Result<(), ExecError> {
        let mut landed = edit::merge(self.memo, &[])?;
        for copy in copies {
            let mut copy = copy.clone();
            let Place::Copy { input, owner, .. } = &mut copy else { continue };
            *owner = None;
            let slot = &self.inputs[*input].slot;
            let mut alone = Landing::on(self.supply, &[])?;
            self.place(&mut alone, &copy)?;
            let tree = alone.finish();
            if let Some(path) = edit::clash(self.memo, landed, tree, &differs)? {
                return Err(ExecError::Input {
                    message: format!("`{path}` of {slot} has another content at another value of the axis"),
                    help: "let them land apart: `${matrix.AXIS}` may stand in `to`".to_owned(),
                });
            }
            landed = edit::merge(self.memo, &[landed, tree])?;
        }
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<&Entry, ExecError> {
        match &self.inputs[index].value {
            Value::Tree(entry) => Ok(entry),
            _ => Err(wrong_type(&self.inputs[index], "a tree")),
        }
    }
}

fn no_mode(error: BadModeChange) -> ExecError {
    ExecError::Input {
        message: error.to_string(),
        help: "write the mode as chmod has it: `u=rwX,go=rX`, or `0o755`".to_owned(),
    }
}

fn nameless(to: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("a file without a name lands inside `{to}`"),
        help: "write the whole path that it should have there".to_owned(),
    }
}

/// A link group says with which other files of its own tree a file is one: it is no content.
fn differs(old: &Entry, new: &Entry) -> bool {
    let same = match (&old.content, &new.content) {
        (Content::File { blob: old, .. }, Content::File { blob: new, .. }) => old == new,
        (old, new) => old == new,
    };
    !same || old.metadata != new.metadata
}

fn wrong_type(input: &ActionInput, wanted: &str) -> ExecError {
    let found = match &input.value {
        Value::Tree(entry) if !entry.is_directory() => "a single file",
        value => value.type_of().name(),
    };
    ExecError::Input {
        message: format!("{} is {found}, but {wanted} is wanted there", input.slot),
        help: "give a `path` below it, or another input".to_owned(),
    }
}

#[cfg(test)]
mod tests;
