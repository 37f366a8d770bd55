/** URI templates (RFC 6570) of MCP servers, as far as a gateway needs them: whether a URI can come of one. */

/**
 * Whether a URI can come of a template (RFC 6570): each expression stands for a run of characters, without `/` but for
 * the operators that may hold some (`+`, `#`, `/`) and lists. Which values it had is the server's to find out. Linear in
 * template times URI, since both are a stranger's.
 */
export function toUriMatcher(template: string): (uri: string) => boolean {
  const parts = template
    .split(/\{([^{}]*)\}/)
    .map((part, index) =>
      index % 2 === 0 ? { text: part } : { text: undefined, isLong: /^[+#/]/.test(part) || part.endsWith('*') },
    )
    .filter(({ text }) => text !== '')
  const [first] = parts
  return (uri) => uri.startsWith(first?.text ?? '') && fits(parts, uri)
}

type UriPart = { readonly text: string } | { readonly text: undefined; readonly isLong: boolean }

/** Keeps the places in the URI that the parts so far can end at. */
function fits(parts: readonly UriPart[], uri: string): boolean {
  let ends = new Uint8Array(uri.length + 1)
  ends[0] = 1
  for (const part of parts) {
    const next = new Uint8Array(uri.length + 1)
    if (part.text !== undefined) {
      for (let at = uri.indexOf(part.text); at >= 0; at = uri.indexOf(part.text, at + 1))
        if (ends[at] === 1) next[at + part.text.length] = 1
    } else {
      let isWithin = false
      for (let at = 0; at <= uri.length; at++) {
        isWithin ||= ends[at] === 1
        if (isWithin) next[at] = 1
        if (uri[at] === '/' && !part.isLong) isWithin = false
      }
    }
    ends = next
  }
  return ends[uri.length] === 1
}
