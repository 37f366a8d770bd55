/** The address table, against IANA’s special-purpose registries for IPv4 and IPv6 at their edges. */
import { describe, expect, it } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { isPublic, parseAllowList } from '../../../src/egress/address.ts'

// biome-ignore format: a table
const publicAddresses = [
  '1.0.0.0', '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '93.184.216.34',
  '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255', '169.255.0.0',
  '168.63.129.15', '168.63.129.17', '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0', '192.0.3.0',
  '192.88.98.255', '192.88.100.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0',
  '198.51.99.255', '198.51.101.0', '203.0.112.255', '203.0.114.0', '223.255.255.255',
  '2000::1', '2001:200::1', '2001:4860:4860::8888', '2003::1', '2606:4700:4700::1111',
  '2620:4f:7fff:ffff::1', '2a00:1450:4001:80b::200e', '3ffe:ffff::1',
]

// biome-ignore format: a table
const refusedAddresses: readonly (readonly [string, string])[] = [
  ['this network', '0.0.0.0'], ['this network', '0.255.255.255'],
  ['private', '10.0.0.0'], ['private', '10.255.255.255'],
  ['carrier-grade NAT', '100.64.0.0'], ['carrier-grade NAT', '100.127.255.255'], ['Alibaba metadata', '100.100.100.200'],
  ['loopback', '127.0.0.0'], ['loopback', '127.255.255.255'],
  ['link-local', '169.254.0.0'], ['cloud metadata', '169.254.169.254'], ['link-local', '169.254.255.255'],
  ['Azure host agent', '168.63.129.16'],
  ['private', '172.16.0.0'], ['private', '172.31.255.255'],
  ['protocol assignments', '192.0.0.0'], ['Oracle metadata', '192.0.0.192'], ['protocol assignments', '192.0.0.255'],
  ['documentation', '192.0.2.0'], ['documentation', '192.0.2.255'],
  ['AS112', '192.31.196.1'], ['AMT', '192.52.193.1'], ['6to4 relay', '192.88.99.1'], ['AS112', '192.175.48.1'],
  ['private', '192.168.0.0'], ['private', '192.168.255.255'],
  ['benchmark', '198.18.0.0'], ['benchmark', '198.19.255.255'],
  ['documentation', '198.51.100.0'], ['documentation', '198.51.100.255'],
  ['documentation', '203.0.113.0'], ['documentation', '203.0.113.255'],
  ['multicast', '224.0.0.0'], ['multicast', '239.255.255.255'],
  ['reserved', '240.0.0.0'], ['reserved', '255.255.255.254'], ['broadcast', '255.255.255.255'],
  ['unspecified', '::'], ['loopback', '::1'],
  ['IPv4-compatible', '::127.0.0.1'], ['IPv4-compatible', '::7f00:1'], ['IPv4-compatible, public inside', '::808:808'],
  ['IPv4-mapped', '::ffff:127.0.0.1'], ['IPv4-mapped, public inside', '::ffff:8.8.8.8'], ['IPv4-mapped', '::ffff:7f00:1'],
  ['IPv4-translated', '::ffff:0:127.0.0.1'],
  ['NAT64', '64:ff9b::'], ['NAT64', '64:ff9b::7f00:1'], ['NAT64', '64:ff9b::169.254.169.254'], ['local NAT64', '64:ff9b:1::7f00:1'],
  ['local NAT64', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['discard', '100::1'], ['not given out', '200::1'], ['not given out', '1fff:ffff::1'],
  ['Teredo', '2001::1'], ['Teredo', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff'], ['benchmark', '2001:2::1'],
  ['protocol assignments', '2001:1::1'], ['AMT', '2001:3::1'], ['AS112', '2001:4:112::1'], ['ORCHID', '2001:10::1'],
  ['ORCHIDv2', '2001:20::1'], ['protocol assignments', '2001:1ff:ffff::1'],
  ['documentation', '2001:db8::1'], ['documentation', '2001:db8:ffff:ffff::1'],
  ['6to4', '2002::1'], ['6to4', '2002:7f00:1::1'], ['6to4', '2002:ffff:ffff::1'], ['AS112', '2620:4f:8000::1'],
  ['documentation', '3fff::1'], ['documentation', '3fff:fff:ffff::1'],
  ['not given out', '4000::1'], ['segment routing', '5f00::1'],
  ['unique local', 'fc00::1'], ['AWS metadata', 'fd00:ec2::254'], ['unique local', 'fdff:ffff::1'],
  ['link-local', 'fe80::1'], ['link-local', 'febf:ffff::1'], ['link-local with a zone', 'fe80::1%eth0'],
  ['public with a zone', '2606:4700::1%1'],
  ['site-local', 'fec0::1'], ['site-local', 'feff:ffff::1'], ['multicast', 'ff00::1'], ['multicast', 'ff02::1'],
]

// biome-ignore format: a table
const notAddresses = [
  '', ' ', 'localhost', 'example.com', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '8.8.8.8.', '8.8.8', '8.8.8.8 ',
  '08.8.8.8', '8.8.8.256', '[::1]', '1.1.1.1:80', '1.1.1.1/32', ':::', '1::2::3', '12345::', 'g::1', '::ffff:1.2.3.999',
]

describe('isPublic', () => {
  it.each(publicAddresses)('%s is public', (address) => {
    expect(isPublic(address)).toBe(true)
  })

  it.each(refusedAddresses)('%s: %s is not public', (_what, address) => {
    expect(isPublic(address)).toBe(false)
  })

  it.each(notAddresses)('“%s” is no address and so not public', (text) => {
    expect(isPublic(text)).toBe(false)
  })

  it('reads long and upper-case IPv6 spellings alike', () => {
    expect(isPublic('2606:4700:4700:0000:0000:0000:0000:1111')).toBe(true)
    expect(isPublic('2606:4700:4700::1111'.toUpperCase())).toBe(true)
    expect(isPublic('FE80::1')).toBe(false)
    expect(isPublic('0000:0000:0000:0000:0000:ffff:0a00:0001')).toBe(false)
  })
})

// biome-ignore format: a table
const wrongEntries = [
  '', ' ', '*', '*.example.com', 'http://a.test', 'a.test/', 'a.test/24', 'a b', 'a@b', 'a?b', 'a#b', '-a.test', 'a..b',
  'a.test:0', 'a.test:65536', 'a.test:', 'a.test:http', 'a:1:2', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', '::/129',
  '10.0.0.1:0', '[::1]:0', '[10.0.0.1]:80', '[a.test]:80', '[::1', '::1]', '010.0.0.1', '127.1', '2130706433', '0x7f.1',
  'fe80::1%eth0', `${'a'.repeat(64)}.test`, 'a.test\n', '300.1.1.1',
]

describe('parseAllowList', () => {
  const list = parseAllowList([
    '10.1.2.3',
    '10.1.2.4:8080',
    '172.16.0.0/12',
    '192.168.7.0/24:9000',
    '::1',
    '[fd00::5]:8443',
    'fd12::/16',
    '[fd34::]/16:81',
    'billing.internal',
    'Search.Internal:9200',
    'Bücher.example',
    'dotted.internal.',
  ])

  const cases: readonly (readonly [string, string, number, boolean])[] = [
    ['anything', '10.1.2.3', 1, true],
    ['anything', '10.1.2.4', 8080, true],
    ['anything', '10.1.2.4', 8081, false],
    ['anything', '10.1.2.5', 80, false],
    ['anything', '172.16.0.0', 80, true],
    ['anything', '172.31.255.255', 80, true],
    ['anything', '172.32.0.0', 80, false],
    ['anything', '192.168.7.255', 9000, true],
    ['anything', '192.168.7.255', 9001, false],
    ['anything', '192.168.8.0', 9000, false],
    ['anything', '::1', 80, true],
    ['anything', '0:0:0:0:0:0:0:1', 80, true],
    ['anything', '::2', 80, false],
    ['anything', 'fd00::5', 8443, true],
    ['anything', 'fd00::5', 443, false],
    ['anything', 'fd12:ffff::1', 443, true],
    ['anything', 'fd13::1', 443, false],
    ['anything', 'fd34::1', 81, true],
    ['anything', 'fd34::1', 82, false],
    ['anything', '::ffff:10.1.2.3', 80, false],
    ['anything', 'not an address', 80, false],
    ['billing.internal', '127.0.0.1', 80, true],
    ['billing.internal.', '127.0.0.1', 80, true],
    ['BILLING.internal', '127.0.0.1', 80, true],
    ['x.billing.internal', '127.0.0.1', 80, false],
    ['billing.internal.evil.test', '127.0.0.1', 80, false],
    ['search.internal', '127.0.0.1', 9200, true],
    ['search.internal', '127.0.0.1', 9201, false],
    ['xn--bcher-kva.example', '127.0.0.1', 80, true],
    ['dotted.internal', '127.0.0.1', 80, true],
  ]

  it.each(cases)('host %s at %s, port %i: allowed is %s', (host, address, port, expected) => {
    expect(list.allows(host, address, port)).toBe(expected)
  })

  it('tells a host that is listed by name from one whose address is listed', () => {
    expect(list.allowsName('billing.internal', 80)).toBe(true)
    expect(list.allowsName('search.internal', 9200)).toBe(true)
    expect(list.allowsName('search.internal', 80)).toBe(false)
    expect(list.allowsName('10.1.2.3', 80)).toBe(false)
  })

  it('allows nothing when it is empty', () => {
    const empty = parseAllowList([])
    expect(empty.allows('localhost', '127.0.0.1', 80)).toBe(false)
    expect(empty.allowsName('localhost', 80)).toBe(false)
  })

  it.each(wrongEntries)('refuses the entry “%s” and names it', (entry) => {
    const parse = (): unknown => parseAllowList(['10.0.0.0/8', entry])
    expect(parse).toThrow(GatewayError)
    expect(parse).toThrow(`“${entry}”`)
    expect(parse).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})
