//! What a server publishes of a tenant's ledger, read as an outsider, and the independent checkers of it.

use crate::http::Client;
use crate::server::{BINARY, Done};
use merkle::checkpoint::Checkpoint;
use merkle::note::VerifyingKey;
use merkle::tile::{self, Tile};
use merkle::{Hash, proof};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A signed checkpoint, and what it says.
#[derive(Clone, Debug)]
pub struct Seen {
    pub note: String,
    pub size: u64,
    pub root: Hash,
}

/// One tenant's ledger on one server.
pub struct Ledger<'c> {
    client: &'c Client,
    tenant: String,
}

impl<'c> Ledger<'c> {
    pub fn new(client: &'c Client, tenant: &str) -> Ledger<'c> {
        Ledger { client, tenant: tenant.to_owned() }
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let reply = self.client.anonymous().get(&format!("/t/{}/log/{path}", self.tenant));
        match reply.status {
            200 => Some(reply.body),
            404 => None,
            _ => panic!("{path}: {reply}"),
        }
    }

    pub fn vkey(&self) -> VerifyingKey {
        VerifyingKey::parse(String::from_utf8(self.get("vkey").unwrap()).unwrap().trim()).unwrap()
    }

    /// The newest checkpoint, its signature checked.
    pub fn checkpoint(&self) -> Seen {
        Seen::open(String::from_utf8(self.get("checkpoint").unwrap()).unwrap(), &self.vkey())
    }

    /// The newest checkpoint once it covers so many entries.
    pub fn checkpoint_of(&self, size: u64) -> Seen {
        let mut seen = self.checkpoint();
        crate::server::eventually("a checkpoint covers what was written", || {
            seen = self.checkpoint();
            seen.size >= size
        });
        seen
    }

    pub fn tile(&self, tile: Tile) -> Option<Vec<u8>> {
        self.get(&tile.path())
    }

    /// A tile as a tree of its width has it: where it has grown since, the full one is cut.
    fn reader(&self) -> impl FnMut(Tile) -> Result<Vec<u8>, String> + '_ {
        |tile| self.tile(tile).or_else(|| self.tile(tile.full())).ok_or_else(|| format!("{} is not there", tile.path()))
    }

    /// The leaf hashes of a tree of this size, and that they make its root.
    pub fn leaves(&self, seen: &Seen) -> Vec<Hash> {
        let mut leaves = Vec::new();
        for tile in tile::new_tiles(0, seen.size).filter(|t| t.level == 0) {
            let bytes = self.reader()(tile).unwrap();
            leaves.extend(bytes.as_chunks::<32>().0.iter().take(usize::from(tile.width)).copied());
        }
        assert_eq!(u64::try_from(leaves.len()).unwrap(), seen.size);
        assert_eq!(merkle::root_of(&leaves), seen.root, "the leaves make the signed root");
        leaves
    }

    /// Proves from the server's tiles that the newer checkpoint only adds to the older, or panics.
    pub fn consistency(&self, old: &Seen, new: &Seen) -> Vec<Hash> {
        assert!(old.size <= new.size, "I3: the tree shrank from {} to {}", old.size, new.size);
        let hashes = tile::consistency_proof(&mut self.reader(), old.size, new.size).unwrap();
        proof::verify_consistency(old.size, new.size, &old.root, &new.root, &hashes)
            .unwrap_or_else(|e| panic!("I3: {} and {} contradict each other: {e}", old.note, new.note));
        hashes
    }

    /// Writes every hash tile and bundle of a tree below a folder, as the Go checker reads them.
    pub fn save_tiles(&self, seen: &Seen, folder: &Path) {
        for tile in tile::new_tiles(0, seen.size) {
            let mut paths = vec![tile.path()];
            if tile.level == 0 {
                paths.push(tile.entries_path());
            }
            for path in paths {
                let bytes = self.get(&path).unwrap_or_else(|| panic!("{path} is not there"));
                save(folder, &path, bytes);
            }
        }
    }
}

impl Seen {
    pub fn open(note: String, key: &VerifyingKey) -> Seen {
        let (checkpoint, _) = Checkpoint::open(&note, std::slice::from_ref(key)).unwrap();
        Seen { note, size: checkpoint.size, root: checkpoint.root }
    }
}

/// Writes a file, with the folders above it.
pub fn save(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Where `scripts/prerequisites test` puts tools.
pub fn tools() -> PathBuf {
    Path::new(BINARY).ancestors().nth(2).unwrap().join("venv/bin")
}

/// A tool of `scripts/prerequisites test`, there or on the PATH.
pub fn tool(name: &str) -> Command {
    let path = format!("{}:{}", tools().display(), std::env::var("PATH").unwrap_or_default());
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| std::fs::metadata(file).is_ok());
    let found = found.unwrap_or_else(|| panic!("{name} is missing; run scripts/prerequisites test"));
    let mut command = Command::new(found);
    command.env("PATH", path);
    command
}

/// Runs the checker in Go, which knows the C2SP formats and nothing of us.
pub fn go(args: &[&str]) -> Done {
    static CHECKER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = CHECKER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("merkle-check");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../merkle/tests/go");
        let mut build = tool("go");
        build.args(["build", "-o"]).arg(&program).arg(".").current_dir(source);
        Done::of(build.env("GOFLAGS", "-mod=readonly -buildvcs=false").output().unwrap()).ok();
        (dir, program)
    });
    Done::of(Command::new(program).args(args).output().unwrap())
}
