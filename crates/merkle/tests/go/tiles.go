package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tileSource gives the bytes below tile/ at a C2SP path.
type tileSource func(path string) ([]byte, error)

// partial reads a tile; once the full tile exists its partial ones may be gone, so then that one is cut to size.
func (source tileSource) partial(path string, size int) ([]byte, error) {
	data, err := source(path)
	full, _, isPartial := strings.Cut(path, ".p/")
	if err != nil && isPartial {
		if whole, fullErr := source(full); fullErr == nil && len(whole) >= size {
			return whole[:size], nil
		}
	}
	return data, err
}

func dirTiles(dir string) tileSource {
	return func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	}
}

func httpTiles(prefix string) tileSource {
	return func(path string) ([]byte, error) {
		response, err := http.Get(strings.TrimSuffix(prefix, "/") + "/" + path)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", path, response.Status)
		}
		return io.ReadAll(response.Body)
	}
}

// c2spTiles is tlog.TileReader over a C2SP layout: the same tiles as Go's sumdb, but the path has no height.
type c2spTiles struct {
	source tileSource
}

func (r c2spTiles) Height() int                                { return 8 }
func (r c2spTiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
func (r c2spTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := r.source.partial(path, tile.W*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: %d bytes, want %d", path, len(data), tile.W*tlog.HashSize)
		}
		all = append(all, data)
	}
	return all, nil
}

func hashReader(tree tlog.Tree, source tileSource) tlog.HashReader {
	return tlog.TileHashReader(tree, c2spTiles{source})
}

// checkTiles reads every tile that a tree of this size has, each authenticated against the root, and gives the leaf
// hashes.
func checkTiles(tree tlog.Tree, source tileSource) ([]tlog.Hash, error) {
	var leaves []tlog.Hash
	reader := hashReader(tree, source)
	for level := 0; tree.N>>level > 0; level += 8 {
		count := tree.N >> level
		for start := int64(0); start < count; start += 256 {
			var indexes []int64
			for n := start; n < min(start+256, count); n++ {
				indexes = append(indexes, tlog.StoredHashIndex(level, n))
			}
			hashes, err := reader.ReadHashes(indexes)
			if err != nil {
				return nil, fmt.Errorf("tile level %d from hash %d: %w", level/8, start, err)
			}
			if level == 0 {
				leaves = append(leaves, hashes...)
			}
		}
	}
	return leaves, nil
}

// entriesPath is the path of the entry bundle that begins with entry n*256.
func entriesPath(n int64, width int) string {
	tile := tlog.Tile{H: 8, L: 0, N: n, W: width}
	return "tile/entries/" + strings.TrimPrefix(tile.Path(), "tile/8/0/")
}

// checkBundles reads every entry bundle and compares its entries with the leaf hashes.
func checkBundles(leaves []tlog.Hash, source tileSource) error {
	for start := 0; start < len(leaves); start += 256 {
		width := min(256, len(leaves)-start)
		path := entriesPath(int64(start/256), width)
		data, err := source(path)
		if err != nil {
			return err
		}
		for i := range width {
			if len(data) < 2 || len(data) < 2+int(data[0])<<8+int(data[1]) {
				return fmt.Errorf("%s: ends inside entry %d", path, i)
			}
			size := 2 + int(data[0])<<8 + int(data[1])
			if tlog.RecordHash(data[2:size]) != leaves[start+i] {
				return fmt.Errorf("%s: entry %d is not leaf %d", path, i, start+i)
			}
			data = data[size:]
		}
		if len(data) != 0 {
			return fmt.Errorf("%s: %d bytes after the last entry", path, len(data))
		}
	}
	return nil
}
