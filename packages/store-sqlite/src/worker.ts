import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { faultOf } from './database.ts'
import { OpenError } from './errors.ts'
import type { FromWorker, ToWorker, WorkerSettings } from './messages.ts'
import { startWriting } from './writing.ts'

const settings = workerData as WorkerSettings
const port = parentPort
if (!port) throw new Error('this file is the entry of a worker thread')

const post = (message: FromWorker): void => port.postMessage(message)

try {
  const writing = startWriting(settings, {
    post,
    takeWaiting: () => (receiveMessageOnPort(port) as { message: ToWorker } | undefined)?.message,
    onClosed: () => port.close(),
  })
  port.on('message', (message: ToWorker) => writing.receive(message))
} catch (error) {
  const { code, message } = error as { code?: unknown; message: string }
  // Whatever a start could not write: how the file system says it.
  const plain = faultOf(error) === 'full' ? 'ENOSPC' : typeof code === 'string' ? code : 'ERR'
  post({ type: 'refused', code: error instanceof OpenError ? error.code : plain, message })
  port.close()
}
