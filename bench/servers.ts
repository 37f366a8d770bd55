/** The servers that the gateway is measured against, each a process of its own: `node servers.ts KIND PORT [UPSTREAM]`. */
import { createServer } from 'node:http'
import { Pool } from 'undici'

const [kind, port, upstream] = process.argv.slice(2)

const answer = JSON.stringify({
  id: 42,
  name: 'Rex',
  tags: ['dog', 'brown'],
  owner: { id: 7, name: 'Kim' },
  note: 'x'.repeat(200),
})

/** (a) The downstream: one JSON answer. */
const downstream = createServer((request, response) => {
  request.resume()
  response
    .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    .end(answer)
})

/** (b) A bare reverse proxy: what any gateway has to do at the least. */
function proxy(origin: string): ReturnType<typeof createServer> {
  const pool = new Pool(origin, { connections: 128 })
  return createServer((request, response) => {
    request.resume()
    pool
      .request({ method: 'GET', path: '/pets/42?verbose=true', headers: { accept: 'application/json' } })
      .then(async ({ statusCode, headers, body }) => {
        const bytes = Buffer.from(await body.arrayBuffer())
        response
          .writeHead(statusCode, {
            'content-type': String(headers['content-type']),
            'content-length': bytes.byteLength,
          })
          .end(bytes)
      })
      .catch(() => response.writeHead(502).end())
  })
}

/** The bytes of a list, sent as they are: what `tools/list` is held against. */
function list(url: string): ReturnType<typeof createServer> {
  let bytes = Buffer.alloc(0)
  const fetched = fetch(url, JSON.parse(process.env['LIST_REQUEST'] ?? '{}')).then(async (response) => {
    bytes = Buffer.from(await response.arrayBuffer())
  })
  return createServer((request, response) => {
    request.resume()
    void fetched.then(() =>
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.byteLength }).end(bytes),
    )
  })
}

const server = kind === 'downstream' ? downstream : kind === 'proxy' ? proxy(upstream ?? '') : list(upstream ?? '')
server.keepAliveTimeout = 65_000
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'))
