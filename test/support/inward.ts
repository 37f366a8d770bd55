/**
 * Loaded into a gateway before itself (`--import`): whatever host it calls over TLS, the connection ends in the clear at
 * the recorder on port `INWARD_PORT` of this machine. So descriptions keep the servers that they name, and the recorder
 * sees the host that would have been called.
 */
import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'

/** A public address, so that the gateway's rules are kept; nothing is ever sent to it. */
const somewhere = [{ address: '1.1.1.1', family: 4 }]

const inward = (): net.Socket => {
  const socket = net.connect({ host: '127.0.0.1', port: Number(process.env['INWARD_PORT']), noDelay: true })
  socket.once('connect', () => socket.emit('secureConnect'))
  return socket
}

Object.assign(dns, { lookup: () => Promise.resolve(somewhere) })
Object.assign(tls, { connect: inward })
syncBuiltinESMExports()
