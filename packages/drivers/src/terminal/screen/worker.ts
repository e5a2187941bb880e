import { parentPort } from 'node:worker_threads'
import { createShelf } from './shelf.ts'

const port = parentPort
if (!port) throw new Error('this file is the entry of a worker thread')

port.on(
  'message',
  createShelf(message => port.postMessage(message)),
)
