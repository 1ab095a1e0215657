//! Journal files: as they are, and with sound checksums around whatever is inside. What is read writes back the same.
#![no_main]
use bytes::Bytes;
use ledger::frame::{FRAME_HEADER, FrameWriter, next_frame, read_file_header, read_frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let _ = read_file_header(&bytes);
    let _ = read_frame(&bytes, 0);
    let _ = next_frame(&bytes, 0);

    let (len, seq) = (data.len() as u32, 7u64);
    let mut head = len.to_le_bytes().to_vec();
    head.extend_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), data);
    let mut framed = b"FRM1".to_vec();
    framed.extend_from_slice(&head);
    framed.extend_from_slice(&crc.to_le_bytes());
    framed.extend_from_slice(&[0; 4]);
    assert_eq!(framed.len(), FRAME_HEADER);
    framed.extend_from_slice(data);
    let framed = Bytes::from(framed);
    let Ok(frame) = read_frame(&framed, 0) else { return };
    assert_eq!((frame.seq, frame.len), (seq, framed.len()));
    let mut writer = FrameWriter::new(frame.recorded_at, 0, frame.seq);
    for group in &frame.groups {
        writer.group(group.tenant, group.first_index, group.records.len() as u32, &group.keys);
        for (kind, commitment, row) in &group.records {
            writer.record(*kind, row, commitment);
        }
    }
    assert_eq!(writer.finish(seq), framed);
});
