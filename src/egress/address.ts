/** Which addresses may be connected to: the public internet, and what the operator lists. Pure. */
import { domainToASCII } from 'node:url'
import ipaddr from 'ipaddr.js'
import { GatewayError } from '../core/errors.ts'

/** What the operator allows beyond public addresses over https. Hosts are compared as `URL.hostname` prints them. */
export interface AllowList {
  /** The host is listed by name, or the address it resolved to is listed. */
  allows(host: string, address: string, port: number): boolean
  /** The host is listed by name: it may resolve anywhere and may be called over plain http. */
  allowsName(host: string, port: number): boolean
}

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** All that IANA has given out as global unicast. `::a.b.c.d`, NAT64 and whatever comes later lie outside. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')

/** Public by registry, yet answered by the cloud’s own host agent on every Azure machine. */
const platformAgent = '168.63.129.16'

/** Strict spellings only: four decimal octets, or IPv6 without a zone (a zone names an interface of this host). */
const parseAddress = (text: string): Address | undefined => {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined
  return ipaddr.IPv6.parse(text)
}

/**
 * Whether an IP address is global unicast and in none of IANA’s special-purpose registries (RFC 6890). Whatever
 * carries an IPv4 address inside IPv6 is refused whole, since the inner address would go unchecked. Anything that
 * is not an address is not public.
 */
export const isPublic = (address: string): boolean => {
  const parsed = parseAddress(address)
  if (parsed === undefined || parsed.range() !== 'unicast') return false
  return parsed instanceof ipaddr.IPv6 ? parsed.match(globalUnicast) : parsed.toString() !== platformAgent
}

interface Network {
  readonly base: Address
  readonly bits: number
  readonly port: number | undefined
}

interface Entry {
  readonly host: string
  readonly bracketed: boolean
  readonly bits: number | undefined
  readonly port: number | undefined
}

/** `[host]` or `host`, then `/bits`, then `:port`. A bare IPv6 address is taken whole before this is tried. */
const entryForm = /^(?:\[([0-9a-f:.]+)\]|([^[\]/?#@\\%\s]+?))(?:\/(\d{1,3}))?(?::(\d{1,5}))?$/

const nameForm = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/

const wrongEntry = (entry: string): GatewayError =>
  new GatewayError('bad_config', {
    words: `egress.allow: “${entry}” is not an IP address, a network such as 10.0.0.0/8 or a host name, each with or without :port.`,
  })

const numberOf = (digits: string | undefined): number | undefined => (digits === undefined ? undefined : Number(digits))

const splitEntry = (entry: string): Entry => {
  if (parseAddress(entry) !== undefined) return { host: entry, bracketed: false, bits: undefined, port: undefined }
  const match = entryForm.exec(entry)
  const host = match?.[1] ?? match?.[2]
  if (match === null || host === undefined) throw wrongEntry(entry)
  const port = numberOf(match[4])
  if (port !== undefined && (port < 1 || port > 65_535)) throw wrongEntry(entry)
  return { host, bracketed: match[1] !== undefined, bits: numberOf(match[3]), port }
}

/** The absolute form `name.` is the same host. */
const comparable = (host: string): string => (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase()

const key = (name: string, port: number | undefined): string => (port === undefined ? name : `${name}:${port}`)

/**
 * Reads `egress.allow`: IP, IP:port, CIDR, CIDR:port, [v6]:port, host name, host:port. An entry without a port
 * stands for every port. Throws `bad_config` naming the entry.
 */
export const parseAllowList = (entries: readonly string[]): AllowList => {
  const names = new Set<string>()
  const networks: Network[] = []
  for (const text of entries) {
    const entry = splitEntry(text)
    const base = parseAddress(entry.host)
    if (base === undefined) {
      // the same spelling rules as a URL’s host: `127.1` would become an address there, so it is no name here
      const name = domainToASCII(comparable(entry.host))
      const isName = nameForm.test(name) && parseAddress(name) === undefined
      if (!isName || entry.bracketed || entry.bits !== undefined) throw wrongEntry(text)
      names.add(key(name, entry.port))
      continue
    }
    const width = base instanceof ipaddr.IPv6 ? 128 : 32
    const bits = entry.bits ?? width
    if (bits > width || (entry.bracketed && width === 32)) throw wrongEntry(text)
    networks.push({ base, bits, port: entry.port })
  }
  const allowsName = (host: string, port: number): boolean => {
    const name = comparable(host)
    return names.has(name) || names.has(key(name, port))
  }
  return {
    allowsName,
    allows(host, address, port) {
      if (allowsName(host, port)) return true
      const parsed = parseAddress(address)
      if (parsed === undefined) return false
      return networks.some(
        (network) =>
          (network.port === undefined || network.port === port) &&
          network.base.kind() === parsed.kind() &&
          parsed.match(network.base, network.bits),
      )
    },
  }
}
