// Group commit: what comes at the same time goes together, in one write. Nobody waits who is alone.
//
// The runtime ties a write, a timer and what follows a promise to the request that made it. So each write is begun by a request
// that has something in it, and the others of its group are told. What they are told is a value; the promise beside it is only a
// bell, because what follows it is handed from one request to another, late at times, and never if the one that writes has died.
// So each has a timer of its own, looks when that rings, too, and writes by itself in the end. What is written twice that way has
// to be known by its id.

/** How long a request waits to be taken along. */
export const TAKEN_WITHIN_MS = 250;
/** How long it believes in somebody else's write, and how long a write counts as under way. */
export const WRITTEN_WITHIN_MS = 10_000;

/** From so many on it is worth while to gather: to be told by another request costs half as much as to write. */
export const CROWD = 4;
/** Writes after which somebody looks again whether others come meanwhile. */
export const LOOK_AFTER = 64;

export class Together {
  /** When the writes under way began. */
  #flying = new Set();
  /** Those who have not been taken along, in the order in which they came. */
  #waiting = [];
  /** When somebody began to gather. */
  #gathering = -Infinity;
  /** How many were gathered of late, in the mean. */
  #crowd = 1;
  /** Writes since somebody gathered. */
  #since = 0;
  #isKin;
  #size;
  #max;
  #write;
  #width;
  #gather;

  /**
   * `isKin(item, other)`: whether they may be written together, as far as `size(item)` of all of them in sum is `max` at most.
   * `write(env, group)`: a promise that is fulfilled when all of a group are durable. `width`: writes under way before others
   * wait until one has ended. A store that takes as many writes as there are has none, but `gather()`: where many come, the first
   * of them waits until it is fulfilled, and takes along who has come by then.
   */
  constructor({ isKin, size, max, write, width = Infinity, gather }) {
    this.#isKin = isKin;
    this.#size = size;
    this.#max = max;
    this.#write = write;
    this.#width = width;
    this.#gather = gather;
  }

  /** Fulfilled when the item is durable; rejected with what the write of its group said. */
  async put(env, item) {
    const gathers = this.#isToGather();
    if (gathers) await this.#gatherOthers();
    else if (this.#mustWait() && (await this.#isWritten(item))) return;

    const others = this.#takeAlong(item);
    if (gathers) this.#crowd += (1 + others.length - this.#crowd) / 4;
    this.#since = gathers ? 0 : this.#since + 1;
    const flight = { since: Date.now() };
    this.#flying.add(flight);
    // Who did not fit has waited for as long.
    if (this.#gather) this.#callNext();
    const group = [item, ...others.map((other) => other.item)];
    let error;
    try {
      await this.#write(env, group);
    } catch (reason) {
      error = reason ?? new Error("the write failed");
    }
    this.#flying.delete(flight);
    for (const other of others) other.tell({ isWritten: true, error });
    if (!this.#mustWait()) this.#callNext();
    if (error) throw error;
  }

  #isToGather() {
    if (!this.#gather || this.#isGathering()) return false;
    return CROWD <= this.#crowd || (LOOK_AFTER <= this.#since && 0 < this.#underWay());
  }

  #isGathering() {
    return Date.now() - this.#gathering <= TAKEN_WITHIN_MS;
  }

  async #gatherOthers() {
    this.#gathering = Date.now();
    await this.#gather();
    this.#gathering = -Infinity;
  }

  #mustWait() {
    return this.#isGathering() || (this.#width <= this.#flying.size && this.#width <= this.#underWay());
  }

  /** Writes under way, without those of requests that died. */
  #underWay() {
    const oldest = Date.now() - WRITTEN_WITHIN_MS;
    for (const flight of this.#flying) if (flight.since < oldest) this.#flying.delete(flight);
    return this.#flying.size;
  }

  #callNext() {
    this.#waiting.shift()?.tell({ isWritten: false });
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
      // To stop a timer costs as much as to set it; it ends with its request.
      await Promise.race([bell, new Promise((ring) => setTimeout(ring, patience))]);
      if (one.news?.error) throw one.news.error;
      if (one.news) return one.news.isWritten;
      if (!one.isTaken) break;
    }
    this.#waiting = this.#waiting.filter((other) => other !== one);
    return false;
  }

  /** Those who wait and fit. */
  #takeAlong(item) {
    const others = [];
    let room = this.#max - this.#size(item);
    // Who is still here after that time has died. If it is only late, it writes itself.
    const oldest = Date.now() - WRITTEN_WITHIN_MS;
    this.#waiting = this.#waiting.filter((one) => {
      if (one.since < oldest) return false;
      const size = this.#size(one.item);
      if (room < size || !this.#isKin(item, one.item)) return true;
      room -= size;
      one.isTaken = true;
      others.push(one);
      return false;
    });
    return others;
  }
}
