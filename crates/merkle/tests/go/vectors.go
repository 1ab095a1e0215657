package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// checkVectors verifies a folder:
//
//	vkeys                     one per line, the log's first
//	checkpoints/<size>        signed checkpoints of one growing log
//	consistency/<old>-<new>   base64 lines
//	proofs/<size>-<index>     tlog-proof files
//	entries/<index>           the bytes of these entries
//	tiles/tile/...            hash tiles and entry bundles of every checkpoint
//	refused/<any name>        tlog-proof files that must NOT verify, entry in refused-entries/<same name>
//
// Proofs are not only verified: they must be the very ones that Go makes from the tiles.
func checkVectors(dir string) error {
	keys, err := readKeys(filepath.Join(dir, "vkeys"))
	if err != nil {
		return err
	}
	source := dirTiles(filepath.Join(dir, "tiles"))
	trees := map[int64]tlog.Tree{}
	err = each(dir, "checkpoints", func(path, name string) error {
		tree, err := openCheckpoint(path, keys)
		if err != nil {
			return err
		}
		if name != fmt.Sprint(tree.N) {
			return fmt.Errorf("%s: checkpoint is of size %d", path, tree.N)
		}
		trees[tree.N] = tree
		leaves, err := checkTiles(tree, source)
		if err != nil {
			return err
		}
		return checkBundles(leaves, source)
	})
	if err != nil {
		return err
	}
	err = each(dir, "consistency", func(path, name string) error {
		var older, newer int64
		if _, err := fmt.Sscanf(name, "%d-%d", &older, &newer); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		hashes, err := readHashes(path)
		if err != nil {
			return err
		}
		if err := checkTree(hashes, trees[older], trees[newer]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if older == 0 {
			return nil
		}
		made, err := tlog.ProveTree(newer, older, hashReader(trees[newer], source))
		if err == nil && !slices.Equal(hashes, []tlog.Hash(made)) {
			err = fmt.Errorf("differs from the proof that Go makes")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = each(dir, "proofs", func(path, name string) error {
		_, index, _ := strings.Cut(name, "-")
		entry, err := os.ReadFile(filepath.Join(dir, "entries", index))
		if err != nil {
			return err
		}
		proof, err := checkProof(path, tlog.RecordHash(entry), keys)
		if err != nil {
			return err
		}
		if trees[proof.tree.N] != proof.tree || name != fmt.Sprintf("%d-%d", proof.tree.N, proof.index) {
			return fmt.Errorf("%s: is of leaf %d of size %d", path, proof.index, proof.tree.N)
		}
		made, err := tlog.ProveRecord(proof.tree.N, proof.index, hashReader(proof.tree, source))
		if err == nil && !slices.Equal(proof.hashes, made) {
			err = fmt.Errorf("differs from the proof that Go makes")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return each(dir, "refused", func(path, name string) error {
		entry, err := os.ReadFile(filepath.Join(dir, "refused-entries", name))
		if err != nil {
			return err
		}
		if _, err := checkProof(path, tlog.RecordHash(entry), keys); err == nil {
			return fmt.Errorf("%s: verifies, but must not", path)
		}
		return nil
	})
}

// each calls check for every file of a folder and says how many there were. An empty folder is a failure: it would
// make the check pass by checking nothing.
func each(dir, folder string, check func(path, name string) error) error {
	files, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := check(filepath.Join(dir, folder, file.Name()), file.Name()); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: nothing to check", filepath.Join(dir, folder))
	}
	fmt.Printf("%s ok: %d\n", folder, len(files))
	return nil
}
