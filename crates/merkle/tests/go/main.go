// Command merkle-check verifies what the Rust crate merkle writes, with golang.org/x/mod's own code for signed notes
// and transparency logs. It knows nothing about Indelible: only the C2SP formats.
//
// One thing at a time, on the files of a running server:
//
//	merkle-check -vkey FILE -checkpoint FILE                        the note's signatures
//	merkle-check -vkey FILE -proof FILE [-entry FILE|-leaf HEX]     a tlog-proof, its checkpoint and its entry
//	merkle-check -vkey FILE -old FILE -new FILE -consistency FILE   two checkpoints; the proof is base64 lines
//	merkle-check -vkey FILE -checkpoint FILE -tiles DIR             every hash tile below DIR/tile, against the root
//
// or everything in a directory of vectors (see checkVectors):
//
//	merkle-check -vectors DIR
//
// -vkey names a file of one vkey per line; the first one is the log's. Also -prefix URL instead of -tiles DIR reads
// tiles over HTTP. The exit code is 1, with a message, at the first failure.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	vkey := flag.String("vkey", "", "file of vkeys, one per line, the log's first")
	checkpointFile := flag.String("checkpoint", "", "file of a signed checkpoint")
	proofFile := flag.String("proof", "", "file of a tlog-proof")
	entryFile := flag.String("entry", "", "file of the entry's bytes, for -proof")
	leaf := flag.String("leaf", "", "leaf hash in hex, for -proof without -entry")
	oldFile := flag.String("old", "", "file of the older signed checkpoint")
	newFile := flag.String("new", "", "file of the newer signed checkpoint")
	consistencyFile := flag.String("consistency", "", "file of base64 lines: the proof from -old to -new")
	tiles := flag.String("tiles", "", "folder that holds tile/...")
	prefix := flag.String("prefix", "", "URL below which tile/... is served")
	vectors := flag.String("vectors", "", "folder of vectors")
	flag.Parse()

	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case *vectors != "":
		err = checkVectors(*vectors)
	default:
		err = checkFiles(*vkey, *checkpointFile, *proofFile, *entryFile, *leaf, *oldFile, *newFile, *consistencyFile, *tiles, *prefix)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "merkle-check:", err)
		os.Exit(1)
	}
}

func checkFiles(vkey, checkpointFile, proofFile, entryFile, leaf, oldFile, newFile, consistencyFile, tiles, prefix string) error {
	if vkey == "" {
		return fmt.Errorf("-vkey is needed")
	}
	keys, err := readKeys(vkey)
	if err != nil {
		return err
	}
	done := false
	var tree tlog.Tree
	if checkpointFile != "" {
		if tree, err = openCheckpoint(checkpointFile, keys); err != nil {
			return err
		}
		fmt.Printf("checkpoint ok: size %d root %s\n", tree.N, tree.Hash)
		done = true
	}
	if proofFile != "" {
		hash, err := leafHash(entryFile, leaf)
		if err != nil {
			return err
		}
		proof, err := checkProof(proofFile, hash, keys)
		if err != nil {
			return err
		}
		if checkpointFile != "" && proof.tree != tree {
			return fmt.Errorf("%s: leads to size %d, the checkpoint given is of size %d", proofFile, proof.tree.N, tree.N)
		}
		fmt.Printf("proof ok: index %d of %d\n", proof.index, proof.tree.N)
		done = true
	}
	if oldFile != "" || newFile != "" || consistencyFile != "" {
		if err := checkConsistency(oldFile, newFile, consistencyFile, keys); err != nil {
			return err
		}
		done = true
	}
	if tiles != "" || prefix != "" {
		if checkpointFile == "" {
			return fmt.Errorf("-tiles and -prefix need -checkpoint")
		}
		source := tileSource(dirTiles(tiles))
		if prefix != "" {
			source = httpTiles(prefix)
		}
		leaves, err := checkTiles(tree, source)
		if err != nil {
			return err
		}
		fmt.Printf("tiles ok: %d leaves\n", len(leaves))
		done = true
	}
	if !done {
		return fmt.Errorf("nothing to check: give -checkpoint, -proof, -old/-new/-consistency or -vectors")
	}
	return nil
}

// keyRing is the log's key and all keys that a note is opened with.
type keyRing struct {
	origin string
	known  note.Verifiers
}

func readKeys(path string) (keyRing, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return keyRing{}, err
	}
	var ring keyRing
	var list []note.Verifier
	for _, line := range strings.Fields(string(data)) {
		verifier, err := newVerifier(line)
		if err != nil {
			return ring, fmt.Errorf("%s: %s: %w", path, line, err)
		}
		if ring.origin == "" {
			ring.origin = verifier.Name()
		}
		list = append(list, verifier)
	}
	if len(list) == 0 {
		return ring, fmt.Errorf("%s: no vkey", path)
	}
	ring.known = note.VerifierList(list...)
	return ring, nil
}

// newVerifier is note.NewVerifier and cosignature/v1 keys (type 0x04), which x/mod does not have.
func newVerifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) == 3 {
		key, err := base64.StdEncoding.DecodeString(parts[2])
		if err == nil && len(key) == 1+ed25519.PublicKeySize && key[0] == 0x04 {
			id, err := hex.DecodeString(parts[1])
			if err != nil || len(id) != 4 {
				return nil, fmt.Errorf("malformed key ID")
			}
			return &witness{parts[0], binary.BigEndian.Uint32(id), ed25519.PublicKey(key[1:])}, nil
		}
	}
	return note.NewVerifier(vkey)
}

type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }
func (w *witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	return ed25519.Verify(w.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", time, msg), sig[8:])
}

func openCheckpoint(path string, keys keyRing) (tlog.Tree, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	tree, err := openCheckpointBytes(data, keys)
	if err != nil {
		return tree, fmt.Errorf("%s: %w", path, err)
	}
	return tree, nil
}

func openCheckpointBytes(data []byte, keys keyRing) (tlog.Tree, error) {
	opened, err := note.Open(data, keys.known)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed := false
	for _, sig := range opened.Sigs {
		signed = signed || sig.Name == keys.origin
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != keys.origin || !signed {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s signed by its key", keys.origin)
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.Tree{N: size, Hash: root}, nil
}
