// Group commit: what comes while others are being written goes together, in one write. Who finds room writes at once, so nobody
// waits who is alone.
//
// The runtime ties a write, and a timer, to the request that began it. So each write is begun by a request that has something in
// it, the others of its group wait for a promise, and each keeps its own timer. What a request waits for may never come, because
// the one that writes can die; then it writes by itself. What is written twice that way has to be known by its id.

/** Writes under way before others wait. */
export const WIDTH = 2;
/** How long a request waits to be taken along. */
export const TAKEN_WITHIN_MS = 250;
/** How long it believes in somebody else's write, and how long a write counts as under way. */
export const WRITTEN_WITHIN_MS = 10_000;

/** What a request that waited is told: write it yourself. */
const YOURSELF = Symbol("yourself");

export class Together {
  /** When the writes under way began. */
  #flying = new Set();
  /** Those who have not been taken along, in the order in which they came. */
  #waiting = [];
  #fits;
  #write;
  #keepAlive;

  /**
   * `fits(group, item)`: whether `item` may go with those of `group`, which are one or more. `write(env, group)`: a promise that
   * is fulfilled when all of them are durable. `keepAlive(promise)`: has the runtime finish it, though its request may be gone.
   */
  constructor(fits, write, keepAlive) {
    this.#fits = fits;
    this.#write = write;
    this.#keepAlive = keepAlive;
  }

  /** Fulfilled when the item is durable; rejected with what the write of its group said. */
  async put(env, item) {
    if (!this.#hasRoom() && (await this.#turn(item)) !== YOURSELF) return;
    const others = this.#takeAlong(item);
    const flight = { since: Date.now() };
    this.#flying.add(flight);
    const group = [item, ...others.map((other) => other.item)];
    const landed = (error) => {
      this.#flying.delete(flight);
      for (const other of others) other.settle(error);
      if (this.#hasRoom()) this.#waiting.shift()?.go();
      return error;
    };
    const written = (async () => this.#write(env, group))().then(
      () => landed(),
      (error) => landed(error ?? new Error("the write failed")),
    );
    this.#keepAlive(written);
    const error = await written;
    if (error) throw error;
  }

  #hasRoom() {
    if (WIDTH <= this.#flying.size) {
      const oldest = Date.now() - WRITTEN_WITHIN_MS;
      for (const flight of this.#flying) if (flight.since < oldest) this.#flying.delete(flight);
    }
    return this.#flying.size < WIDTH;
  }

  /** Waits until the item is written, or until it is this request's turn to write. */
  async #turn(item) {
    const one = { item, isTaken: false };
    const turn = new Promise((resolve, reject) => {
      one.go = () => resolve(YOURSELF);
      one.settle = (error) => (error ? reject(error) : resolve());
    });
    this.#waiting.push(one);
    let timer = setTimeout(() => {
      if (one.isTaken) {
        timer = setTimeout(one.go, WRITTEN_WITHIN_MS);
        return;
      }
      this.#waiting = this.#waiting.filter((other) => other !== one);
      one.go();
    }, TAKEN_WITHIN_MS);
    try {
      return await turn;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Those who wait and fit. */
  #takeAlong(item) {
    const group = [item];
    const others = [];
    this.#waiting = this.#waiting.filter((one) => {
      if (!this.#fits(group, one.item)) return true;
      one.isTaken = true;
      group.push(one.item);
      others.push(one);
      return false;
    });
    return others;
  }
}
