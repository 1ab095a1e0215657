package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// openedProof is a tlog-proof whose checkpoint is verified.
type openedProof struct {
	tree   tlog.Tree
	index  int64
	hashes tlog.RecordProof
}

func checkProof(path string, leaf tlog.Hash, keys keyRing) (openedProof, error) {
	proof, err := openProof(path, keys)
	if err == nil {
		err = tlog.CheckRecord(proof.hashes, proof.tree.N, proof.tree.Hash, proof.index, leaf)
	}
	if err != nil {
		return proof, fmt.Errorf("%s: %w", path, err)
	}
	return proof, nil
}

func openProof(path string, keys keyRing) (openedProof, error) {
	var proof openedProof
	data, err := os.ReadFile(path)
	if err != nil {
		return proof, err
	}
	head, checkpoint, ok := strings.Cut(string(data), "\n\n")
	if !ok {
		return proof, fmt.Errorf("no empty line")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		return proof, fmt.Errorf("not a tlog-proof")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return proof, fmt.Errorf("no index line")
	}
	if proof.index, err = parseDecimal(strings.TrimPrefix(lines[0], "index ")); err != nil {
		return proof, err
	}
	if proof.hashes, err = parseHashes(lines[1:]); err != nil {
		return proof, err
	}
	proof.tree, err = openCheckpointBytes([]byte(checkpoint), keys)
	return proof, err
}

func checkConsistency(oldFile, newFile, proofFile string, keys keyRing) error {
	if oldFile == "" || newFile == "" || proofFile == "" {
		return fmt.Errorf("-old, -new and -consistency belong together")
	}
	older, err := openCheckpoint(oldFile, keys)
	if err != nil {
		return err
	}
	newer, err := openCheckpoint(newFile, keys)
	if err != nil {
		return err
	}
	hashes, err := readHashes(proofFile)
	if err != nil {
		return err
	}
	if err := checkTree(hashes, older, newer); err != nil {
		return fmt.Errorf("%s: %w", proofFile, err)
	}
	fmt.Printf("consistency ok: %d to %d\n", older.N, newer.N)
	return nil
}

// checkTree is tlog.CheckTree, which has no opinion on size 0.
func checkTree(hashes tlog.TreeProof, older, newer tlog.Tree) error {
	if older.N == 0 {
		empty, err := tlog.TreeHash(0, nil)
		if err != nil {
			return err
		}
		if len(hashes) != 0 || older.Hash != empty {
			return fmt.Errorf("size 0 with a proof or a root of its own")
		}
		return nil
	}
	return tlog.CheckTree(hashes, newer.N, newer.Hash, older.N, older.Hash)
}

func leafHash(entryFile, leaf string) (tlog.Hash, error) {
	if entryFile != "" {
		entry, err := os.ReadFile(entryFile)
		return tlog.RecordHash(entry), err
	}
	var hash tlog.Hash
	bytes, err := hex.DecodeString(leaf)
	if err != nil || len(bytes) != len(hash) {
		return hash, fmt.Errorf("-proof needs -entry FILE, or -leaf with 64 hex digits")
	}
	copy(hash[:], bytes)
	return hash, nil
}

func readHashes(path string) ([]tlog.Hash, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil, nil
	}
	hashes, err := parseHashes(strings.Split(text, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return hashes, nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

func parseDecimal(text string) (int64, error) {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 || strconv.FormatInt(value, 10) != text {
		return 0, fmt.Errorf("%q is not a canonical decimal", text)
	}
	return value, nil
}
