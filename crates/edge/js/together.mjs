// Group commit: what comes while others are being written goes together, in one write. Who finds room writes at once, so nobody
// waits who is alone.
//
// The runtime ties a write, a timer and what follows a promise to the request that made it. So each write is begun by a request
// that has something in it, and the others of its group are told. What they are told is a value; the promise beside it is only a
// bell, because what follows it is handed from one request to another, late at times, and never if the one that writes has died.
// So each has a timer of its own, looks when that rings, too, and writes by itself in the end. What is written twice that way has
// to be known by its id.

/** Writes under way before others wait. */
export const WIDTH = 2;
/** How long a request waits to be taken along. */
export const TAKEN_WITHIN_MS = 250;
/** How long it believes in somebody else's write, and how long a write counts as under way. */
export const WRITTEN_WITHIN_MS = 10_000;

export class Together {
  /** When the writes under way began. */
  #flying = new Set();
  /** Those who have not been taken along, in the order in which they came. */
  #waiting = [];
  #fits;
  #write;

  /**
   * `fits(group, item)`: whether `item` may go with those of `group`, which are one or more. `write(env, group)`: a promise that
   * is fulfilled when all of them are durable.
   */
  constructor(fits, write) {
    this.#fits = fits;
    this.#write = write;
  }

  /** Fulfilled when the item is durable; rejected with what the write of its group said. */
  async put(env, item) {
    if (!this.#hasRoom() && (await this.#isWritten(item))) return;
    const others = this.#takeAlong(item);
    const flight = { since: Date.now() };
    this.#flying.add(flight);
    const group = [item, ...others.map((other) => other.item)];
    let error;
    try {
      await this.#write(env, group);
    } catch (reason) {
      error = reason ?? new Error("the write failed");
    }
    this.#flying.delete(flight);
    for (const other of others) other.tell({ isWritten: true, error });
    if (this.#hasRoom()) this.#waiting.shift()?.tell({ isWritten: false });
    if (error) throw error;
  }

  #hasRoom() {
    if (WIDTH <= this.#flying.size) {
      const oldest = Date.now() - WRITTEN_WITHIN_MS;
      for (const flight of this.#flying) if (flight.since < oldest) this.#flying.delete(flight);
    }
    return this.#flying.size < WIDTH;
  }

  /** Waits until another request has written the item, or until it is this one's turn. */
  async #isWritten(item) {
    const one = { item, isTaken: false, since: Date.now() };
    const bell = new Promise((ring) => {
      one.tell = (news) => {
        one.news = news;
        ring();
      };
    });
    this.#waiting.push(one);
    for (const patience of [TAKEN_WITHIN_MS, WRITTEN_WITHIN_MS]) {
      let timer;
      await Promise.race([bell, new Promise((ring) => (timer = setTimeout(ring, patience)))]);
      clearTimeout(timer);
      if (one.news?.error) throw one.news.error;
      if (one.news) return one.news.isWritten;
      if (!one.isTaken) break;
    }
    this.#waiting = this.#waiting.filter((other) => other !== one);
    return false;
  }

  /** Those who wait and fit. */
  #takeAlong(item) {
    const group = [item];
    const others = [];
    // Who is still here after that time has died. If it is only late, it writes itself.
    const oldest = Date.now() - WRITTEN_WITHIN_MS;
    this.#waiting = this.#waiting.filter((one) => {
      if (one.since < oldest) return false;
      if (!this.#fits(group, one.item)) return true;
      one.isTaken = true;
      group.push(one.item);
      others.push(one);
      return false;
    });
    return others;
  }
}
