-- One request of GitHub over and over, each with a delivery id of its own.
-- Environment: BODY_FILE, INGEST_PATH, SIGNATURE, RUN (makes ids unique among runs).
local path = os.getenv("INGEST_PATH")
local run = os.getenv("RUN")
local file = assert(io.open(os.getenv("BODY_FILE"), "rb"))
local body = file:read("*a")
file:close()

local threads = 0
function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local number = 0
local headers = {
  ["Content-Type"] = "application/json",
  ["X-GitHub-Event"] = "push",
  ["X-Hub-Signature-256"] = os.getenv("SIGNATURE"),
}
function request()
  number = number + 1
  headers["X-GitHub-Delivery"] = run .. "-" .. thread_number .. "-" .. number
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "refused": %d, "broken": %d, "seconds": %.3f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
