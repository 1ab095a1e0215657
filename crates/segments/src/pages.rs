//! Pages of a segment: read, unpacked, and those that come back kept.
//!
//! Owns the process's cache of unpacked pages and dictionaries. A page of 100 rows needs a few kilobytes of
//! every column, but all of each column's dictionary, and unpacking those was most of its time; the newest
//! pages are asked for again and again. Not here: values ([`crate::column`]).

use crate::columns::KIND;
use crate::error::{Error, Result};
use crate::file::Handle;
use crate::page::{Coding, Page};
use crate::segment::Segment;
use arrow::array::{Array, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Encoding;
use parquet::column::page::{PageIterator, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Bytes of unpacked pages and dictionaries that the process keeps.
static LIMIT: AtomicUsize = AtomicUsize::new(96 << 20);
static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Sets how many bytes of unpacked pages and dictionaries the process keeps (96 MiB where never set).
pub fn set_page_cache(bytes: usize) {
    LIMIT.store(bytes, Ordering::Relaxed);
    lock().shrink();
}

fn lock() -> std::sync::MutexGuard<'static, Cache> {
    // A panic elsewhere cannot leave it half changed: entries are whole.
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names an open segment in the cache.
#[derive(Debug)]
pub(crate) struct CacheId(u64);

impl CacheId {
    pub(crate) fn new() -> CacheId {
        CacheId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Segment, row group, column, page; the dictionary is the page before all others.
type Key = (u64, u32, u16, u32);
const DICTIONARY: u32 = u32::MAX;
/// What an entry takes beside its bytes.
const OVERHEAD: usize = 200;

/// The distinct values of a column in a row group.
#[derive(Debug)]
pub(crate) enum Dictionary {
    /// The first entries, and whether that is all of them.
    Texts(StringArray, bool),
    Numbers(Vec<i32>),
}

impl Dictionary {
    fn of(page: &Page, column: usize) -> Result<Dictionary, &'static str> {
        let cut = "a dictionary is cut off";
        if page.coding != Some(Coding::Plain) {
            return Err("a dictionary is not plain");
        }
        let mut rest = page.bytes();
        if column == KIND {
            let numbers = rest.as_chunks().0.iter().map(|n| i32::from_le_bytes(*n)).take(page.rows);
            return Ok(Dictionary::Numbers(numbers.collect()));
        }
        let mut offsets = Vec::with_capacity(page.rows + 1);
        let mut texts = Vec::with_capacity(rest.len());
        offsets.push(0i32);
        for _ in 0..page.rows {
            let entry = rest
                .split_first_chunk()
                .and_then(|(length, later)| later.split_at_checked(u32::from_le_bytes(*length) as usize));
            let Some((text, later)) = entry else {
                if page.whole {
                    return Err(cut);
                }
                break;
            };
            texts.extend_from_slice(text);
            offsets.push(texts.len() as i32);
            rest = later;
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let texts = StringArray::try_new(offsets, Buffer::from_vec(texts), None);
        Ok(Dictionary::Texts(texts.map_err(|_| "a dictionary holds no text")?, page.whole))
    }

    /// Whether the first `entries` are there, or all there are.
    pub(crate) fn has(&self, entries: usize) -> bool {
        match self {
            Dictionary::Texts(texts, whole) => *whole || texts.len() >= entries,
            Dictionary::Numbers(_) => true,
        }
    }

    fn memory(&self) -> usize {
        match self {
            Dictionary::Texts(texts, _) => texts.value_data().len() + texts.value_offsets().len() * 4,
            Dictionary::Numbers(numbers) => numbers.len() * 4,
        }
    }
}

#[derive(Clone)]
enum Entry {
    Page(Arc<Page>),
    Dictionary(Arc<Dictionary>),
}

impl Entry {
    fn memory(&self) -> usize {
        OVERHEAD
            + match self {
                Entry::Page(page) => page.memory(),
                Entry::Dictionary(dictionary) => dictionary.memory(),
            }
    }
}

/// First in, first out, with a second chance for what was used since.
#[derive(Default)]
struct Cache {
    entries: HashMap<Key, (Entry, bool)>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, key: Key) -> Option<Entry> {
        let (entry, used) = self.entries.get_mut(&key)?;
        *used = true;
        Some(entry.clone())
    }

    fn put(&mut self, key: Key, entry: Entry) {
        let bytes = entry.memory();
        if bytes > LIMIT.load(Ordering::Relaxed) / 4 {
            return;
        }
        match self.entries.insert(key, (entry, false)) {
            // A longer part of a dictionary takes the place of a shorter one.
            Some((before, _)) => self.bytes -= before.memory(),
            None => self.order.push_back(key),
        }
        self.bytes += bytes;
        self.shrink();
    }

    fn shrink(&mut self) {
        let limit = LIMIT.load(Ordering::Relaxed);
        while self.bytes > limit
            && let Some(key) = self.order.pop_front()
        {
            match self.entries.get_mut(&key) {
                Some((_, used)) if *used => {
                    *used = false;
                    self.order.push_back(key);
                }
                Some((entry, _)) => {
                    self.bytes -= entry.memory();
                    self.entries.remove(&key);
                }
                None => {}
            }
        }
    }
}

impl Segment {
    fn chunk(&self, number: usize, column: usize) -> Option<&ColumnChunkMetaData> {
        self.meta.row_groups().get(number)?.columns().get(column)
    }

    /// Where the data pages of a column chunk lie.
    pub(crate) fn locations(&self, number: usize, column: usize) -> Option<&[PageLocation]> {
        Some(self.meta.offset_index()?.get(number)?.get(column)?.page_locations())
    }

    /// Whether all data pages of a column chunk hold dictionary entries.
    pub(crate) fn only_coded(&self, number: usize, column: usize) -> bool {
        let mask = self.chunk(number, column).and_then(ColumnChunkMetaData::page_encoding_stats_mask);
        mask.is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY))
    }

    fn key(&self, number: usize, column: usize, page: u32) -> Key {
        (self.cache_id.0, number as u32, column as u16, page)
    }

    fn damaged(&self, number: usize, column: usize, what: &str) -> Error {
        Error::damaged(self.path(), format!("row group {number}, column {column}: {what}"))
    }

    /// Data page `at` of a column chunk, unpacked; `keep` puts it into the cache.
    pub(crate) fn page(&self, number: usize, column: usize, at: usize, keep: bool) -> Result<Arc<Page>> {
        let key = self.key(number, column, at as u32);
        if let Some(Entry::Page(page)) = lock().get(key) {
            return Ok(page);
        }
        let place = self
            .locations(number, column)
            .and_then(|l| l.get(at))
            .and_then(|l| Some((u64::try_from(l.offset).ok()?, usize::try_from(l.compressed_page_size).ok()?)));
        let (from, length) = place.ok_or_else(|| self.damaged(number, column, "a page has no place"))?;
        let page = Arc::new(self.unpack(number, column, from, length)?);
        if keep {
            lock().put(key, Entry::Page(Arc::clone(&page)));
        }
        Ok(page)
    }

    /// The dictionary of a column chunk, at least its first `entries`; `None` where it has none.
    pub(crate) fn dictionary(
        &self,
        number: usize,
        column: usize,
        keep: bool,
        entries: usize,
    ) -> Result<Option<Arc<Dictionary>>> {
        let Some(chunk) = self.chunk(number, column) else { return Ok(None) };
        let Some(from) = chunk.dictionary_page_offset() else { return Ok(None) };
        let key = self.key(number, column, DICTIONARY);
        if let Some(Entry::Dictionary(dictionary)) = lock().get(key)
            && dictionary.has(entries)
        {
            return Ok(Some(dictionary));
        }
        let end = self.locations(number, column).and_then(|l| l.first()).map_or(0, |l| l.offset);
        let place = u64::try_from(from).ok().zip(end.checked_sub(from).and_then(|n| usize::try_from(n).ok()));
        let (from, length) = place.ok_or_else(|| self.damaged(number, column, "a dictionary has no place"))?;
        let raw = self.raw(from, length)?;
        let most = self.groups.get(number).map_or(0, |g| g.rows as usize);
        let read = |entries: usize| match Page::read_first(&raw, most, entries) {
            Ok(page) if page.dictionary => Dictionary::of(&page, column),
            Ok(_) => Err("a dictionary is missing"),
            Err(what) => Err(what),
        };
        let damaged = |what| self.damaged(number, column, what);
        let mut dictionary = read(entries).map_err(damaged)?;
        if !dictionary.has(entries) {
            dictionary = read(usize::MAX).map_err(damaged)?;
        }
        let dictionary = Arc::new(dictionary);
        if keep {
            lock().put(key, Entry::Dictionary(Arc::clone(&dictionary)));
        }
        Ok(Some(dictionary))
    }

    fn raw(&self, from: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(from, length).map_err(|e| Error::parquet(self.path(), e))
    }

    fn unpack(&self, number: usize, column: usize, from: u64, length: usize) -> Result<Page> {
        let raw = self.raw(from, length)?;
        let most = self.groups.get(number).map_or(0, |g| g.rows as usize);
        Page::read(&raw, most).map_err(|what| self.damaged(number, column, what))
    }
}

/// One row group, as the library's decoders ask for it.
pub(crate) struct GroupPages<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) number: usize,
}

impl RowGroups for GroupPages<'_> {
    fn num_rows(&self) -> usize {
        self.segment.groups.get(self.number).map_or(0, |g| g.rows as usize)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>, ParquetError> {
        let missing = || ParquetError::General(format!("column {column} of row group {} is missing", self.number));
        let chunk = self.segment.chunk(self.number, column).ok_or_else(missing)?;
        let locations = self.segment.locations(self.number, column).ok_or_else(missing)?.to_vec();
        let file = Arc::new(self.segment.file.clone());
        let pages = SerializedPageReader::new(file, chunk, self.num_rows(), Some(locations))?;
        Ok(Box::new(Once(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata().row_groups().iter().skip(self.number).take(1))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.segment.meta.as_ref()
    }
}

struct Once(Option<SerializedPageReader<Handle>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for Once {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_limit_and_keeps_what_is_used() {
        let entry = |n: usize| Entry::Dictionary(Arc::new(Dictionary::Numbers(vec![0; n / 4])));
        let mut cache = Cache::default();
        let limit = LIMIT.load(Ordering::Relaxed);
        let one = limit / 8;
        for column in 0..100 {
            cache.put((1, 0, column, 0), entry(one));
            assert!(cache.get((1, 0, 0, 0)).is_some());
            assert!(cache.bytes <= limit);
            assert_eq!(cache.bytes, cache.entries.values().map(|(e, _)| e.memory()).sum::<usize>());
        }
        assert!(cache.get((1, 0, 1, 0)).is_none());
        assert!(cache.get((1, 0, 99, 0)).is_some());
        cache.put((2, 0, 0, 0), entry(limit));
        assert!(cache.get((2, 0, 0, 0)).is_none(), "one entry does not push out all others");
    }
}
