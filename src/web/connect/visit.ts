/** One request of a browser, with the ways to answer it. */
import { GatewayError } from '../../core/errors.ts'
import { Browser, type PageContext, type Site } from './browser.ts'
import { type Markup, page } from './page.ts'
import { type Form, leavePage } from './pages.ts'
import type { ConnectRoom } from './room.ts'

export class Visit {
  readonly room: ConnectRoom
  readonly browser: Browser
  readonly #c: PageContext
  readonly #site: Site

  constructor(c: PageContext, room: ConnectRoom, site: Site) {
    this.room = room
    this.browser = new Browser(c, site, room)
    this.#c = c
    this.#site = site
  }

  /** The path of a page, under the origin; `path` is below `/connect`. */
  link(path: string): string {
    return `${this.#site.base}/connect${path}`
  }

  form(path: string): Form {
    return { action: this.link(path), token: this.browser.formToken(path) }
  }

  show(title: string, body: Markup, status = 200): Response | Promise<Response> {
    return this.#c.html(page({ title, name: this.room.name }, body), status as 200)
  }

  /** Sends the browser to another site. */
  leave(where: string, url: string): Response | Promise<Response> {
    // the page is left behind before it is read, and what it was reached from stays unknown there
    this.#c.header('referrer-policy', 'no-referrer')
    const title = `On to ${where}`
    return this.#c.html(page({ title, name: this.room.name, leaveTo: url }, leavePage(where, url)))
  }

  /** Sends it to another page of ours, which it asks for by GET. */
  go(path: string): Response {
    return this.#c.redirect(this.link(path), 303)
  }

  /** For what can be done once: a HEAD, as scanners of links send, is refused with `method_not_allowed`. */
  onlyGet(): void {
    if (this.#c.req.method !== 'GET') throw new GatewayError('method_not_allowed', { words: 'Open this in a browser.' })
  }

  /** The request target's query, as it came. */
  get query(): string {
    const target = this.#c.env.incoming.url ?? ''
    const start = target.indexOf('?')
    return start < 0 ? '' : target.slice(start + 1)
  }

  /** The name that ends the path, written as we write it and in no other way. Throws `not_found`. */
  named(before: string): string {
    const [path = ''] = (this.#c.env.incoming.url ?? '').split('?', 1)
    const written = path.slice(`/connect${before}`.length)
    try {
      const name = decodeURIComponent(written)
      if (encodeURIComponent(name) === written) return name
    } catch {
      // no name at all
    }
    throw new GatewayError('not_found')
  }
}
