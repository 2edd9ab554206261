;; Counts what the engine of functions does: build-edge.sh has it called at the begin of each of the engine's functions and
;; loops, and inlined there. When the fuel is used up the engine traps, wherever it is.
(module
  (global $fuel (export "fuel") (mut i64) (i64.const 0x7fffffffffffffff))
  (func (export "log_execution") (param i32)
    (global.set $fuel (i64.sub (global.get $fuel) (i64.const 1)))
    (if (i64.lt_s (global.get $fuel) (i64.const 0)) (then unreachable))))
