//! Bodies from transmitters of Security Event Tokens: every record is kept, understood or not. As tokens and as sets of keys: nothing
//! that is not signed is ever believed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use systems::set::Keys;

fuzz_target!(|data: &[u8]| {
    indelible_fuzz::native("set", data);
    let text = String::from_utf8_lossy(data);
    let keys = Keys::shared("a secret that no input of a fuzzer signs with").expect("long enough");
    assert!(keys.verify(&text).is_err());
    if let Ok(set) = serde_json::from_slice(data) {
        let _ = Keys::parse(&set).map(|keys| keys.verify("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"));
    }
});
