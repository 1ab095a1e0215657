//! What this crate writes, judged by others: Go's `sumdb/note` and `sumdb/tlog` (`tests/go`), and OpenSSL.
//!
//! The checkers must also be able to say no: damaged vectors are run as well. A missing tool fails the test; it is
//! never skipped, because a skipped check reads like a passed one.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Log, seed};
use merkle::checkpoint::Checkpoint;
use merkle::note::{CosigningKey, Note, SigningKey, VerifyingKey};
use merkle::tile::{self, Tile};
use merkle::tlog_proof::TlogProof;
use merkle::{bundle, proof};
use tempfile::TempDir;

const ORIGIN: &str = "audit.example/t/acme";
const TIME: u64 = 1_700_000_000;
const SIZES: [u64; 12] = [0, 1, 2, 3, 8, 255, 256, 257, 1000, 65_536, 65_537, 66_000];

/// A growing log, its keys and the folder of vectors that `tests/go/vectors.go` describes.
struct Vectors {
    dir: TempDir,
    log: Log,
    checkpoints: BTreeMap<u64, String>,
}

fn log_key() -> SigningKey {
    SigningKey::new(ORIGIN, &seed(0)).unwrap()
}

fn witness_key() -> CosigningKey {
    CosigningKey::new("witness.example/w1", &seed(0x20)).unwrap()
}

fn known() -> [VerifyingKey; 2] {
    [log_key().verifying_key().clone(), witness_key().verifying_key().clone()]
}

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes().repeat((index % 7) as usize)
}

impl Vectors {
    fn make() -> Self {
        let (dir, log, checkpoints) = (TempDir::new().unwrap(), Log::default(), BTreeMap::new());
        let mut vectors = Self { dir, log, checkpoints };
        vectors.write("vkeys", format!("{}\n{}\n", log_key().vkey(), witness_key().vkey()));
        let mut before = 0;
        for size in SIZES {
            (before..size).for_each(|index| vectors.log.push(merkle::leaf_hash(&entry(index))));
            vectors.write_checkpoint(size);
            vectors.write_tiles(before, size);
            vectors.write_proofs(size);
            before = size;
        }
        vectors.write_refused();
        vectors
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn write_checkpoint(&mut self, size: u64) {
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: self.log.root() };
        let mut note = Note::parse(checkpoint.sign(&log_key()).unwrap().as_bytes()).unwrap();
        note.add(witness_key().cosign(note.text(), TIME + size).unwrap()).unwrap();
        let signed = note.to_string();
        Checkpoint::open(&signed, &known()).unwrap();
        self.write(&format!("checkpoints/{size}"), &signed);
        self.checkpoints.insert(size, signed);
    }

    fn write_tiles(&self, before: u64, size: u64) {
        for tile in tile::new_tiles(before, size) {
            let Tile { level, index, .. } = tile;
            let bytes = &self.log.tiles[&(level, index)];
            assert_eq!(bytes.len(), tile.byte_len());
            self.write(&format!("tiles/{}", tile.path()), bytes);
            if level == 0 {
                let entries = (index * 256..index * 256 + u64::from(tile.width)).map(entry);
                self.write(&format!("tiles/{}", tile.entries_path()), bundle::encode(entries).unwrap());
            }
        }
    }

    fn write_proofs(&mut self, size: u64) {
        for index in [0, 1, 2, 200, 255, 256, 999, 65_535, 65_536, size.saturating_sub(1)] {
            if index < size {
                self.write(&format!("proofs/{size}-{index}"), self.proof(index, size).to_text());
                self.write(&format!("entries/{index}"), entry(index));
            }
        }
        for old in SIZES.into_iter().filter(|old| *old <= size) {
            let hashes = tile::consistency_proof(&mut self.log, old, size).unwrap();
            self.write(&format!("consistency/{old}-{size}"), proof::to_lines(&hashes));
        }
    }

    fn proof(&self, index: u64, size: u64) -> TlogProof {
        let hashes = tile::inclusion_proof(&mut self.log.clone(), index, size).unwrap();
        let extra = index.is_multiple_of(2).then(|| b"unauthenticated".to_vec());
        TlogProof { extra, index, hashes, checkpoint: self.checkpoints[&size].clone() }
    }

    /// Proofs that nobody may accept; Rust's verdict is checked here, Go's by the checker.
    fn write_refused(&self) {
        let good = self.proof(200, 1000);
        let mut refused: Vec<(&str, TlogProof, Vec<u8>)> = vec![
            ("other-entry", good.clone(), entry(201)),
            ("other-index", TlogProof { index: 201, ..good.clone() }, entry(200)),
            ("index-outside", TlogProof { index: 1000, ..good.clone() }, entry(200)),
            ("smaller-tree", TlogProof { checkpoint: self.checkpoints[&257].clone(), ..good.clone() }, entry(200)),
        ];
        let mut edit = |name, change: &dyn Fn(&mut TlogProof)| {
            let mut bad = good.clone();
            change(&mut bad);
            refused.push((name, bad, entry(200)));
        };
        edit("hash-changed", &|bad| bad.hashes[3][0] ^= 1);
        edit("hash-missing", &|bad| bad.hashes.truncate(bad.hashes.len() - 1));
        edit("hash-added", &|bad| bad.hashes.push([0; 32]));
        edit("hashes-none", &|bad| bad.hashes.clear());
        edit("text-changed", &|bad| bad.checkpoint = bad.checkpoint.replacen("1000", "1001", 1));
        edit("log-signature-changed", &|bad| bad.checkpoint = flip_signature(&bad.checkpoint, ORIGIN));
        edit("witness-signature-changed", &|bad| {
            bad.checkpoint = flip_signature(&bad.checkpoint, "witness.example/w1")
        });
        edit("unsigned", &|bad| bad.checkpoint.truncate(bad.checkpoint.find("\n\n").unwrap() + 2));
        edit("other-key", &|bad| {
            let other = SigningKey::new(ORIGIN, &seed(0x77)).unwrap();
            let opened = Checkpoint::parse_unverified(&bad.checkpoint).unwrap();
            bad.checkpoint = opened.sign(&other).unwrap();
        });
        for (name, bad, entry) in refused {
            let verdict = TlogProof::parse(bad.to_text()).and_then(|bad| bad.verify_entry(&entry, &known()));
            assert!(verdict.is_err(), "{name}");
            self.write(&format!("refused/{name}"), bad.to_text());
            self.write(&format!("refused-entries/{name}"), entry);
        }
    }

    /// Runs the Go checker; `Ok` is its output, `Err` its message.
    fn go(&self, args: &[&str]) -> Result<String, String> {
        run(Command::new("go")
            .args(["run", "."])
            .args(args)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go"))
            .env("GOFLAGS", "-mod=readonly -buildvcs=false"))
    }

    fn go_vectors(&self) -> Result<String, String> {
        self.go(&["-vectors", self.dir.path().to_str().unwrap()])
    }

    /// As `go`, with every `@name` replaced by the path of that vector.
    fn go_files(&self, args: &str) -> Result<String, String> {
        let args: Vec<String> = args
            .split(' ')
            .map(|arg| match arg.strip_prefix('@') {
                Some(name) => self.path(name).to_str().unwrap().to_owned(),
                None => arg.to_owned(),
            })
            .collect();
        self.go(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Changes one bit of the signature on the line of this key.
fn flip_signature(checkpoint: &str, name: &str) -> String {
    let flip = |line: &str| match line.strip_prefix(&format!("— {name} ")) {
        Some(encoded) => {
            let mut bytes = STANDARD.decode(encoded).unwrap();
            bytes[40] ^= 1;
            format!("— {name} {}\n", STANDARD.encode(bytes))
        }
        None => format!("{line}\n"),
    };
    checkpoint.lines().map(flip).collect()
}

fn run(command: &mut Command) -> Result<String, String> {
    let tool = command.get_program().to_str().unwrap().to_owned();
    let install = match tool.as_str() {
        "go" => {
            "install Go 1.26 or later from https://go.dev/dl/ (tar -C /usr/local -xzf go1.26.*.tar.gz) and put it on PATH"
        }
        _ => "apt-get install openssl",
    };
    let output = command.output().unwrap_or_else(|error| panic!("{tool} does not run ({error}): {install}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr) + &text(&output.stdout)) }
}

#[test]
fn go_accepts_every_vector_and_refuses_every_damaged_one() {
    let vectors = Vectors::make();
    let said = vectors.go_vectors().expect("Go refuses a vector");
    for part in ["checkpoints ok: 12", "consistency ok: 78", "proofs ok: ", "refused ok: 13"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }

    // The single checks, as the end-to-end test uses them on a server's files.
    for (args, says) in [
        ("-vkey @vkeys -checkpoint @checkpoints/1000", "checkpoint ok: size 1000"),
        ("-vkey @vkeys -proof @proofs/1000-200 -entry @entries/200", "proof ok: index 200 of 1000"),
        (
            "-vkey @vkeys -old @checkpoints/257 -new @checkpoints/1000 -consistency @consistency/257-1000",
            "consistency ok: 257 to 1000",
        ),
        ("-vkey @vkeys -checkpoint @checkpoints/1000 -tiles @tiles", "tiles ok: 1000 leaves"),
    ] {
        let said = vectors.go_files(args).unwrap_or_else(|error| panic!("{args}: {error}"));
        assert!(said.contains(says), "{args}: {said}");
    }
    for args in [
        "-vkey @vkeys",
        "-vkey @vkeys -proof @proofs/1000-200",
        "-vkey @vkeys -proof @proofs/1000-200 -entry @entries/256",
        "-vkey @vkeys -checkpoint @checkpoints/257 -proof @proofs/1000-200 -entry @entries/200",
        "-vkey @vkeys -old @checkpoints/1000 -new @checkpoints/257 -consistency @consistency/257-1000",
        "-vkey @vkeys -old @checkpoints/256 -new @checkpoints/1000 -consistency @consistency/257-1000",
        "-vkey @vkeys -old @checkpoints/257 -new @checkpoints/1000",
    ] {
        assert!(vectors.go_files(args).is_err(), "{args}");
    }

    // One bit of one tile, and one tile gone.
    let tile = "tiles/tile/0/001";
    let good = fs::read(vectors.path(tile)).unwrap();
    let mut bad = good.clone();
    bad[77] ^= 4;
    vectors.write(tile, &bad);
    assert!(vectors.go_vectors().unwrap_err().contains("tile"));
    fs::remove_file(vectors.path(tile)).unwrap();
    assert!(vectors.go_vectors().unwrap_err().contains("tile/0/001"));
    vectors.write(tile, &good);
    // A proof that verifies among those that must not.
    fs::copy(vectors.path("proofs/1000-200"), vectors.path("refused/good")).unwrap();
    fs::copy(vectors.path("entries/200"), vectors.path("refused-entries/good")).unwrap();
    assert!(vectors.go_vectors().unwrap_err().contains("verifies, but must not"));
}

/// The public key as OpenSSL wants it: SubjectPublicKeyInfo of RFC 8410.
fn pem(key: &VerifyingKey) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [prefix.as_slice(), key.public_key()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn openssl_verifies(key: &VerifyingKey, message: &str, signature: &[u8]) -> Result<String, String> {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    run(Command::new("openssl")
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"])
        .arg(file("public.pem", pem(key).as_bytes()))
        .arg("-in")
        .arg(file("message", message.as_bytes()))
        .arg("-sigfile")
        .arg(file("signature", signature)))
}

#[test]
fn openssl_accepts_the_signatures() {
    let log = Log::with_leaves(100);
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: log.size(), root: log.root() };
    let text = checkpoint.to_text().unwrap();
    let line = log_key().sign(&text).unwrap();
    let cosignature = witness_key().cosign(&text, TIME).unwrap();
    let cosigned = format!("cosignature/v1\ntime {TIME}\n{text}");
    let [log_vkey, witness_vkey] = known();

    openssl_verifies(&log_vkey, &text, line.signature()).expect("OpenSSL refuses the log's signature");
    openssl_verifies(&witness_vkey, &cosigned, &cosignature.signature()[8..]).expect("OpenSSL refuses the cosignature");

    let changed = text.replacen("100", "101", 1);
    assert!(openssl_verifies(&log_vkey, &changed, line.signature()).is_err());
    assert!(openssl_verifies(&witness_vkey, &text, &cosignature.signature()[8..]).is_err());
    assert!(openssl_verifies(&witness_vkey, &text, line.signature()).is_err());
}
