/** Which names of a growing graph lie on a circle (Tarjan’s strongly connected components, without recursion). */

interface Frame {
  readonly name: string
  readonly next: readonly string[]
  at: number
}

export class Circles {
  readonly #next: (name: string) => readonly string[]
  readonly #index = new Map<string, number>()
  readonly #low = new Map<string, number>()
  readonly #open = new Set<string>()
  readonly #path: string[] = []
  readonly #found = new Set<string>()

  /** What a name leads to must not change once it has been visited. */
  constructor(next: (name: string) => readonly string[]) {
    this.#next = next
  }

  /** Whether a visited name leads back to itself. */
  has(name: string): boolean {
    return this.#found.has(name)
  }

  visit(start: string): void {
    if (this.#index.has(start)) return
    const frames = [this.#enter(start)]
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const child = frame.next[frame.at++]
      if (child === undefined) {
        frames.pop()
        this.#leave(frame.name, frames.at(-1)?.name)
      } else if (!this.#index.has(child)) frames.push(this.#enter(child))
      else if (this.#open.has(child)) this.#lower(frame.name, this.#index.get(child))
      if (child === frame.name) this.#found.add(child)
    }
  }

  #enter(name: string): Frame {
    const index = this.#index.size
    this.#index.set(name, index)
    this.#low.set(name, index)
    this.#open.add(name)
    this.#path.push(name)
    return { name, next: this.#next(name), at: 0 }
  }

  #lower(name: string, to: number | undefined): void {
    this.#low.set(name, Math.min(this.#low.get(name) ?? 0, to ?? Infinity))
  }

  #leave(name: string, parent: string | undefined): void {
    const low = this.#low.get(name)
    if (parent !== undefined) this.#lower(parent, low)
    if (low !== this.#index.get(name)) return
    const component: string[] = []
    for (let member = this.#path.pop(); member !== undefined; member = this.#path.pop()) {
      this.#open.delete(member)
      component.push(member)
      if (member === name) break
    }
    if (component.length > 1) for (const member of component) this.#found.add(member)
  }
}
