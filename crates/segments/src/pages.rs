//! Pages of one row group, on their way to the decoder.
//!
//! Owns the cache of unpacked dictionaries: a page of 100 rows needs a few kilobytes of every column, but all
//! of each column's dictionary, and unpacking those was most of its time. Not here: decoding.

use crate::file::Handle;
use crate::segment::Segment;
use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Dictionaries smaller than this are quicker unpacked than looked up.
const SMALL: usize = 16 << 10;

/// Bytes of unpacked dictionaries that the process keeps. Five such columns hold about 3 MB per row group.
static LIMIT: AtomicUsize = AtomicUsize::new(64 << 20);
static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Sets how many bytes of unpacked dictionaries the process keeps (64 MiB where never set).
pub fn set_dictionary_cache(bytes: usize) {
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

/// Segment, row group, column.
type Key = (u64, usize, usize);

#[derive(Clone)]
struct Dictionary {
    bytes: Bytes,
    values: u32,
    encoding: Encoding,
    sorted: bool,
}

impl Dictionary {
    fn page(self) -> Page {
        Page::DictionaryPage {
            buf: self.bytes,
            num_values: self.values,
            encoding: self.encoding,
            is_sorted: self.sorted,
        }
    }
}

/// First in, first out, with a second chance for what was used since.
#[derive(Default)]
struct Cache {
    entries: HashMap<Key, (Dictionary, bool)>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, key: Key) -> Option<Dictionary> {
        let (dictionary, used) = self.entries.get_mut(&key)?;
        *used = true;
        Some(dictionary.clone())
    }

    fn put(&mut self, key: Key, dictionary: Dictionary) {
        let bytes = dictionary.bytes.len();
        if bytes > LIMIT.load(Ordering::Relaxed) / 4 || self.entries.contains_key(&key) {
            return;
        }
        self.entries.insert(key, (dictionary, false));
        self.order.push_back(key);
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
                Some((dictionary, _)) => {
                    self.bytes -= dictionary.bytes.len();
                    self.entries.remove(&key);
                }
                None => {}
            }
        }
    }
}

/// One row group, as decoders ask for it.
pub(crate) struct GroupPages<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) number: usize,
    /// Whether dictionaries go into the cache: not for scans that read everything once.
    pub(crate) keep: bool,
}

impl RowGroups for GroupPages<'_> {
    fn num_rows(&self) -> usize {
        self.segment.groups.get(self.number).map_or(0, |g| g.rows as usize)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let missing = || ParquetError::General(format!("column {column} of row group {} is missing", self.number));
        let meta = self.metadata();
        let group = meta.row_groups().get(self.number).ok_or_else(missing)?;
        let chunk = group.columns().get(column).ok_or_else(missing)?;
        let locations = meta.offset_index().and_then(|i| i.get(self.number)).and_then(|g| g.get(column));
        let locations = locations.ok_or_else(missing)?.page_locations().clone();
        let file = Arc::new(self.segment.file.clone());
        let reader = SerializedPageReader::new(file, chunk, self.num_rows(), Some(locations))?;
        let key = (self.segment.cache_id.0, self.number, column);
        let pages = Pages { reader, key: chunk.dictionary_page_offset().map(|_| key), keep: self.keep };
        Ok(Box::new(Once(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata().row_groups().iter().skip(self.number).take(1))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.segment.meta.as_ref()
    }
}

struct Once(Option<Box<dyn PageReader>>);

impl Iterator for Once {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Once {}

struct Pages {
    reader: SerializedPageReader<Handle>,
    /// Set until the dictionary has been given.
    key: Option<Key>,
    keep: bool,
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(key) = self.key.take() else { return self.reader.get_next_page() };
        if self.reader.peek_next_page()?.is_none_or(|page| !page.is_dict) {
            return self.reader.get_next_page();
        }
        let known = lock().get(key);
        if let Some(dictionary) = known {
            self.reader.skip_next_page()?;
            return Ok(Some(dictionary.page()));
        }
        let page = self.reader.get_next_page()?;
        if self.keep
            && let Some(Page::DictionaryPage { buf, num_values, encoding, is_sorted }) = &page
            && buf.len() >= SMALL
        {
            let dictionary =
                Dictionary { bytes: buf.clone(), values: *num_values, encoding: *encoding, sorted: *is_sorted };
            lock().put(key, dictionary);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.key = None;
        self.reader.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.reader.at_record_boundary()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_limit_and_keeps_what_is_used() {
        let dictionary = |n: usize| Dictionary {
            bytes: Bytes::from(vec![0; n]),
            values: 1,
            encoding: Encoding::PLAIN,
            sorted: false,
        };
        let mut cache = Cache::default();
        let limit = LIMIT.load(Ordering::Relaxed);
        let one = limit / 8;
        for column in 0..100 {
            cache.put((1, 0, column), dictionary(one));
            assert!(cache.get((1, 0, 0)).is_some());
            assert!(cache.bytes <= limit);
            assert_eq!(cache.bytes, cache.entries.values().map(|(d, _)| d.bytes.len()).sum::<usize>());
        }
        assert!(cache.get((1, 0, 1)).is_none());
        assert!(cache.get((1, 0, 99)).is_some());
        cache.put((2, 0, 0), dictionary(limit));
        assert!(cache.get((2, 0, 0)).is_none(), "one dictionary does not push out all others");
    }
}
