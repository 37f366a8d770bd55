/**
 * A browser, as one request shows it: our cookies, and whether a form that it sends is our own. Cookies are `__Host-`
 * ones where the gateway is reached by https; on loopback without it they have no prefix and the path of these pages.
 */
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import { timesIn } from '../../mcp/exchange.ts'
import { fieldsOf } from './fields.ts'
import type { ConnectRoom } from './room.ts'

export type PageContext = Context<{ Bindings: HttpBindings }>

/** The public URL, taken apart. */
export interface Site {
  readonly origin: string
  /** The path before `/connect`, without a final slash. */
  readonly base: string
  readonly secure: boolean
}

export function siteOf(publicUrl: string): Site {
  const { origin, pathname, protocol } = new URL(publicUrl)
  return { origin, base: pathname.replace(/\/+$/, ''), secure: protocol === 'https:' }
}

type Room = Pick<ConnectRoom, 'seal' | 'clock' | 'random'>

export class Browser {
  readonly #c: PageContext
  readonly #site: Site
  readonly #room: Room

  constructor(c: PageContext, site: Site, room: Room) {
    this.#c = c
    this.#site = site
    this.#room = room
  }

  /** A cookie’s value, when it looks like one of ours. */
  cookie(name: string): string | undefined {
    const value = this.#site.secure ? getCookie(this.#c, name, 'host') : getCookie(this.#c, name)
    return value !== undefined && value.length <= limits.browserCookieBytes && /^[\w-]+$/.test(value)
      ? value
      : undefined
  }

  /** Without `ms` it lasts as long as the browser is open. */
  setCookie(name: string, value: string, ms?: number): void {
    setCookie(this.#c, name, value, {
      ...this.#place(),
      httpOnly: true,
      sameSite: 'Lax',
      ...(ms === undefined ? {} : { maxAge: Math.floor(ms / 1_000) }),
    })
  }

  dropCookie(name: string): void {
    deleteCookie(this.#c, name, this.#place())
  }

  #place(): { prefix: 'host'; secure: true; path: '/' } | { path: string } {
    return this.#site.secure ? { prefix: 'host', secure: true, path: '/' } : { path: `${this.#site.base}/connect` }
  }

  /** What was put into a cookie by `keep`, while its time lasts. */
  kept(name: string): Json | undefined {
    const text = this.cookie(name)
    const held = text === undefined ? undefined : this.#room.seal.open(text, `connect cookie ${name}`, '')
    if (!Array.isArray(held)) return undefined
    const [until, value] = held
    return typeof until === 'number' && until > this.#room.clock.now() ? value : undefined
  }

  keep(name: string, value: Json, ms: number): void {
    const held = [this.#room.clock.now() + ms, value]
    this.setCookie(name, this.#room.seal.close(held, `connect cookie ${name}`, ''), ms)
  }

  /** For a form that this browser, and no other, may send to `action`. */
  formToken(action: string): string {
    let id = this.cookie(browserCookie)
    if (id === undefined) {
      id = this.#room.random()
      this.setCookie(browserCookie, id)
    }
    return this.#room.seal.close(true, `connect form ${action}`, id)
  }

  /**
   * The fields of a form that a page of ours sent from this browser. Throws `forbidden_origin`,
   * `unsupported_media_type`, `invalid_params`.
   */
  async form(action: string): Promise<URLSearchParams> {
    this.#checkOrigin()
    if (!/^application\/x-www-form-urlencoded(?:;|$)/i.test(this.#c.req.header('content-type') ?? ''))
      throw new GatewayError('unsupported_media_type', { words: 'Send the form of the page.' })
    const form = fieldsOf(await this.#c.req.text())
    const id = this.cookie(browserCookie)
    const isOurs =
      id !== undefined && this.#room.seal.open(form.get('token') ?? '', `connect form ${action}`, id) === true
    if (!isOurs) throw new GatewayError('forbidden_origin', { words: staleForm })
    return form
  }

  /** Browsers send `Origin` with every form, and `Sec-Fetch-Site` (Fetch Metadata) wherever it can be trusted. */
  #checkOrigin(): void {
    const site = this.#c.req.header('sec-fetch-site')
    const isOwn =
      timesIn(this.#c.env.incoming.rawHeaders, 'origin') === 1 &&
      this.#c.req.header('origin') === this.#site.origin &&
      (site === undefined || site === 'same-origin')
    if (!isOwn) throw new GatewayError('forbidden_origin', { words: foreignForm(this.#site) })
  }
}

const browserCookie = 'toolgate-browser'

const staleForm = 'This page was open for too long, or cookies are switched off. Open the link again.'
const foreignForm = ({ origin }: Site): string =>
  `This form came from another site. Open the link again; its address begins with ${origin}.`
