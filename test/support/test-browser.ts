/** A browser without a screen: cookies by their attributes, forms as a page has them, redirects on demand. */
import type { Pages } from './connect-pages.ts'

export interface PageAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export interface TestBrowser {
  readonly cookies: Map<string, string>
  /** Whole `Set-Cookie` fields, as they came. */
  readonly set: string[]
  get(path: string, init?: RequestInit): Promise<PageAnswer>
  /** Sends the page's form, after looking at it, with `fields` filled in; `change` has its way with the request. */
  submit(path: string, fields?: { [name: string]: string }, change?: (init: SentForm) => void): Promise<PageAnswer>
}

export interface SentForm {
  action: string
  readonly headers: Map<string, string>
  body: string
}

const unescape = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')

/** The address that a page sends its browser on to. */
export function leavesFor({ text }: PageAnswer): URL {
  const found = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(text)?.[1]
  if (found === undefined) throw new Error(`the page leads nowhere: ${text.slice(text.indexOf('<main>'))}`)
  return new URL(unescape(found))
}

/** `pages`: which of several processes is asked; a browser may be asked on by another. */
export function createBrowser(pages: () => Pages): TestBrowser {
  const cookies = new Map<string, string>()
  const set: string[] = []
  const send = async (path: string, init: RequestInit = {}): Promise<PageAnswer> => {
    const headers = new Headers(init.headers)
    if (!headers.has('cookie') && cookies.size > 0)
      headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    const answer = await fetch(new URL(path, pages().url), { ...init, headers, redirect: 'manual' })
    for (const field of answer.headers.getSetCookie()) {
      set.push(field)
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(field) ?? []
      if (/max-age=0/i.test(field)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  return {
    cookies,
    set,
    get: send,
    async submit(path, fields = {}, change = () => undefined) {
      const { text } = await send(path)
      const form = /<form method="post" action="([^"]+)">(.*?)<\/form>/s.exec(text)
      if (form === null) throw new Error(`no form at ${path}: ${text.slice(text.indexOf('<main>'))}`)
      const body = new URLSearchParams()
      for (const [, name = '', value = ''] of (form[2] ?? '').matchAll(/name="([^"]+)" value="([^"]*)"/g))
        body.set(unescape(name), unescape(value))
      for (const [name, value] of Object.entries(fields)) body.set(name, value)
      const sent: SentForm = {
        action: unescape(form[1] ?? ''),
        headers: new Map([
          ['origin', new URL(pages().publicUrl).origin],
          ['sec-fetch-site', 'same-origin'],
          ['content-type', 'application/x-www-form-urlencoded'],
        ]),
        body: body.toString(),
      }
      change(sent)
      return send(sent.action, { method: 'POST', headers: [...sent.headers], body: sent.body })
    },
  }
}
