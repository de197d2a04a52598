//! The files and the bytes of layers that were pulled. Neither is there before somebody wants it: bytes come from
//! the store or else from where the image lies, files from the bytes, and both are remembered.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, OciDigest, TreeDigest};
use crate::net::network::Network;
use crate::net::reference::Reference;
use crate::oci::derived::Question;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::image::{Image, Layer, PackedLayer};
use crate::oci::kept::{keep, kept};
use crate::oci::layout_reader::verify;
use crate::oci::source::Source;
use crate::oci::stoppable::Stoppable;
use crate::oci::unpack::{Budget, unpack};
use crate::oci::unpacked::unpacked;
use crate::store::memo::{Memo, Written};
use crate::store::object::Object;
use crate::tree::whole::is_whole;

/// Cheap to clone; all clones know of the same sources.
#[derive(Clone)]
pub struct Supply(Arc<Inner>);

struct Inner {
    memo: Memo,
    network: Network,
    cancel: Cancel,
    /// Where layers can be had. It is no part of a value: the same layers may lie elsewhere tomorrow.
    sources: Mutex<BTreeMap<OciDigest, Vec<Arc<Source>>>>,
    /// What is remembered counts only after all of it was read.
    distrusts: AtomicBool,
}

/// Blobs that are fetched at the same time.
const FETCHES: usize = 4;

impl Supply {
    pub fn new(memo: &Memo, network: &Network, cancel: &Cancel) -> Supply {
        Supply(Arc::new(Inner {
            memo: memo.clone(),
            network: network.clone(),
            cancel: cancel.clone(),
            sources: Mutex::default(),
            distrusts: AtomicBool::new(false),
        }))
    }

    /// For tests whose images are all made.
    #[cfg(test)]
    pub(crate) fn of(memo: &Memo) -> Supply {
        Supply::new(memo, &Network::default(), &Cancel::default())
    }

    pub fn memo(&self) -> &Memo {
        &self.0.memo
    }

    pub fn network(&self) -> &Network {
        &self.0.network
    }

    pub fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    /// The image's layers lie there.
    pub fn offer(&self, image: &Image, source: &Arc<Source>) {
        let mut sources = self.0.sources.lock().expect("bug: poisoned");
        for layer in image.rootfs.pulled() {
            let known = sources.entry(layer.digest).or_default();
            if !known.iter().any(|known| Arc::ptr_eq(known, source)) {
                known.push(source.clone());
            }
        }
    }

    /// Repositories that are known to have the blob.
    pub fn repositories(&self, digest: OciDigest) -> Vec<Reference> {
        let sources = self.0.sources.lock().expect("bug: poisoned");
        let known = sources.get(&digest).into_iter().flatten();
        known.filter_map(|source| source.repository().cloned()).collect()
    }

    /// After damage was found in the store.
    pub fn distrust(&self) {
        self.0.distrusts.store(true, Ordering::Relaxed);
    }

    /// Whether the files of all layers are known, so that `trees` neither fetches nor unpacks.
    pub fn is_unpacked(&self, layers: &[Layer]) -> Result<bool, OciError> {
        for (count, layer) in layers.iter().enumerate() {
            if let Layer::Pulled(layer) = layer
                && self.unpacked(layer, &layers[..count])?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The change tree of each layer. `layers` are a whole root, lowest first: parents that a layer does not name,
    /// and hard links, are those of the layers below it.
    pub fn trees(&self, layers: &[Layer]) -> Result<Vec<TreeDigest>, OciError> {
        let mut known = Vec::new();
        for (count, layer) in layers.iter().enumerate() {
            known.push(match layer {
                Layer::Made(tree) => Some(*tree),
                Layer::Pulled(layer) => self.unpacked(layer, &layers[..count])?,
            });
        }
        let missing: Vec<&PackedLayer> = layers
            .iter()
            .zip(&known)
            .filter_map(|(layer, tree)| match (layer, tree) {
                (Layer::Pulled(layer), None) => Some(layer),
                _ => None,
            })
            .collect();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let mut fetched = self.fetch(scope, &missing, &next).into_iter();
            let mut trees = Vec::with_capacity(layers.len());
            for (count, (layer, known)) in layers.iter().zip(known).enumerate() {
                let tree = match (layer, known) {
                    (_, Some(tree)) => Ok(tree),
                    (Layer::Made(tree), None) => Ok(*tree),
                    (Layer::Pulled(layer), None) => fetched
                        .next()
                        .and_then(|blob| blob.recv().ok())
                        .unwrap_or(Err(OciError::Cancelled))
                        .and_then(|blob| self.unpack(layer, blob, &layers[..count], &trees)),
                };
                // Nothing more is begun for a root that cannot be had.
                trees.push(tree.inspect_err(|_| next.store(missing.len(), Ordering::Relaxed))?);
            }
            Ok(trees)
        })
    }

    /// A few at a time, in their order.
    fn fetch<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        layers: &'s [&PackedLayer],
        next: &'s AtomicUsize,
    ) -> Vec<Receiver<Result<BlobDigest, OciError>>> {
        let (senders, receivers): (Vec<_>, Vec<_>) = layers.iter().map(|_| sync_channel(1)).unzip();
        let senders = Arc::new(senders);
        for _ in 0..layers.len().min(FETCHES) {
            let senders = senders.clone();
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(layer) = layers.get(place) else { return };
                    // Whoever does not want it any more has gone.
                    let _ = senders[place].send(self.blob(layer));
                }
            });
        }
        receivers
    }

    /// The layer's packed bytes, in the store from now on.
    pub fn blob(&self, layer: &PackedLayer) -> Result<BlobDigest, OciError> {
        if let Some(kept) = kept(self.memo(), layer.digest)? {
            return Ok(kept.blob);
        }
        let sources = self.0.sources.lock().expect("bug: poisoned").get(&layer.digest).cloned();
        let mut result = Err(OciError::NoBlob { digest: layer.digest });
        for source in sources.unwrap_or_default() {
            result = self.blob_of(layer, &source);
            if matches!(result, Ok(_) | Err(OciError::Cancelled)) {
                break;
            }
        }
        result
    }

    fn blob_of(&self, layer: &PackedLayer, source: &Source) -> Result<BlobDigest, OciError> {
        let PackedLayer { media_type, digest, size, .. } = layer;
        let descriptor = Descriptor { media_type: media_type.clone(), digest: *digest, size: *size };
        let fetched = || -> Result<Written, OciError> {
            let mut writer = Stoppable { stream: self.memo().blob_writer()?, cancel: &self.0.cancel };
            source.copy(&descriptor, &mut writer)?;
            let written = writer.stream.finish()?;
            verify(&descriptor, written.oci, written.size)?;
            Ok(written)
        };
        let written = match fetched() {
            // A mirror that gave other bytes is not asked again.
            Err(OciError::Net(error)) if error.is_of_content() => fetched(),
            fetched => fetched,
        }?;
        keep(self.memo(), &written)?;
        Ok(written.blob)
    }

    fn unpacked(&self, layer: &PackedLayer, below: &[Layer]) -> Result<Option<TreeDigest>, OciError> {
        let Some(tree) = question(layer, below).recall(self.memo())? else { return Ok(None) };
        let is_believed =
            !self.0.distrusts.load(Ordering::Relaxed) || is_whole(self.memo(), Object::Tree(tree))?;
        Ok(is_believed.then_some(tree))
    }

    fn unpack(
        &self,
        layer: &PackedLayer,
        blob: BlobDigest,
        below: &[Layer],
        lower: &[TreeDigest],
    ) -> Result<TreeDigest, OciError> {
        let question = question(layer, below);
        let _lock = self.memo().lock_key(question.key(), &self.0.cancel)?;
        if let Some(tree) = self.unpacked(layer, below)? {
            return Ok(tree);
        }
        let start = Instant::now();
        let bytes = Stoppable { stream: self.memo().open_blob(blob)?, cancel: &self.0.cancel };
        let (tree, diff_id) = unpack_packed(self.memo(), bytes, lower)?;
        if diff_id != layer.diff_id {
            return Err(OciError::DiffId { layer: layer.digest, expected: layer.diff_id, found: diff_id });
        }
        question.remember(self.memo(), &tree, vec![Object::Tree(tree)], start.elapsed())?;
        Ok(tree)
    }
}

/// A layer's tree follows from its own bytes and, for parents and hard links, from the layers below it. Its diff id is
/// checked when it is unpacked, so that it is asked for with the answer.
fn question(layer: &PackedLayer, below: &[Layer]) -> Question {
    let facts =
        |layer: &PackedLayer| [("layer", layer.digest.to_string()), ("diff id", layer.diff_id.to_string())];
    let below = below.iter().flat_map(|layer| match layer {
        Layer::Made(tree) => vec![("made", tree.to_string())],
        Layer::Pulled(layer) => facts(layer).to_vec(),
    });
    let facts = below.chain(facts(layer)).collect();
    Question { context: "memobuild 2026-11-28 unpacked v1", output: "tree", facts }
}

/// The tree, and the SHA-256 of the tar.
fn unpack_packed(
    memo: &Memo,
    packed: impl Read,
    lower: &[TreeDigest],
) -> Result<(TreeDigest, OciDigest), OciError> {
    let packed = BufReader::with_capacity(256 << 10, packed);
    let tar = unpacked(packed).map_err(OciError::stream("reading a layer"))?;
    let mut tar = Hashed { input: tar, hash: Sha256::new() };
    let tree = unpack(memo, &mut tar, lower, Budget::DEFAULT)?;
    Ok((tree, OciDigest::from_bytes(tar.hash.finalize().into())))
}

struct Hashed<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::fixture::{export_to, full_tree, image, memo};
    use crate::oci::image::{Compression, Platform};
    use crate::oci::layout::LayoutSink;
    use crate::oci::outgoing::Listing;
    use crate::oci::pull::pull;

    /// A store that knows nothing, and an image of one layer in a layout.
    fn offered() -> (tempfile::TempDir, Supply, Image, TreeDigest) {
        let (folder, memo_of_maker) = memo();
        let tree = full_tree(&memo_of_maker);
        let made = image(vec![tree], Compression::Zstd { level: 1 });
        let layout = folder.path().join("layout");
        let sink = LayoutSink::open(&layout, &[]).unwrap();
        export_to(&memo_of_maker, &made, &sink, Listing::OfLayout).unwrap();
        let source = Arc::new(Source::layout(&layout).unwrap());
        let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        let pulled = pull(&source, None, None, &platform).unwrap();
        let supply = Supply::of(&Memo::open(&folder.path().join("other")).unwrap());
        supply.offer(&pulled, &source);
        (folder, supply, pulled, tree)
    }

    fn remove(folder: &tempfile::TempDir) {
        std::fs::remove_dir_all(folder.path().join("layout/blobs")).unwrap();
    }

    #[test]
    fn nothing_is_fetched_before_it_is_wanted_and_nothing_twice() {
        let (folder, supply, image, tree) = offered();
        let layer = image.rootfs.pulled().next().unwrap();
        assert_eq!(kept(supply.memo(), layer.digest).unwrap(), None);
        assert!(!supply.is_unpacked(&image.rootfs.layers).unwrap());
        supply.blob(layer).unwrap();
        remove(&folder);
        assert_eq!(supply.trees(&image.rootfs.layers).unwrap(), [tree]);
        assert!(supply.is_unpacked(&image.rootfs.layers).unwrap());
    }

    #[test]
    fn what_no_source_has_is_an_error_and_nothing_is_kept_of_it() {
        let (folder, supply, image, _) = offered();
        remove(&folder);
        let missing = supply.trees(&image.rootfs.layers);
        assert!(matches!(missing, Err(OciError::NoBlob { .. })), "{missing:?}");
        assert!(!supply.is_unpacked(&image.rootfs.layers).unwrap());
    }

    /// After damage every file is read before a tree is believed, and comes back from the packed layer.
    #[test]
    fn a_damaged_file_is_unpacked_again() {
        let (folder, supply, image, tree) = offered();
        supply.trees(&image.rootfs.layers).unwrap();
        remove(&folder);
        let damaged = BlobDigest::of(b"linked");
        let hex = damaged.to_hex();
        let path =
            walk(&supply.memo().folder().join("blobs"), &hex).expect("the store keeps files by digest");
        std::fs::remove_file(&path).unwrap();
        supply.distrust();
        assert_eq!(supply.trees(&image.rootfs.layers).unwrap(), [tree]);
        assert!(supply.memo().has(Object::Blob(damaged)));
    }

    fn walk(folder: &std::path::Path, hex: &str) -> Option<std::path::PathBuf> {
        let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.find_map(|path| match path.is_dir() {
            true => walk(&path, hex),
            false => hex.ends_with(path.file_name()?.to_str()?).then_some(path),
        })
    }
}
