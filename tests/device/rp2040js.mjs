// A Raspberry Pi Pico in the emulator rp2040js (npm), with its UART0 on a TCP port of this computer.
//
//   node rp2040js.mjs FOLDER FIRMWARE.uf2
//
// FOLDER holds node_modules/rp2040js. Writes the port number, then runs until the one connection closes. What the chip's boot ROM does is
// done here: the first 256 bytes of flash go to the end of SRAM and are called with 0 in the link register.
import { createServer } from 'node:net';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { RP2040, Simulator } = createRequire(`${folder}/`)('rp2040js');
const BOOT2 = 0x20041f00;

const simulator = new Simulator();
const chip = simulator.rp2040;
const uf2 = readFileSync(file);
for (let at = 0; at < uf2.length; at += 512) {
  const address = uf2.readUInt32LE(at + 12);
  const bytes = uf2.readUInt32LE(at + 16);
  chip.flash.set(uf2.subarray(at + 32, at + 32 + bytes), address - 0x10000000);
}
chip.sram.set(chip.flash.slice(0, 256), BOOT2 - 0x20000000);
chip.core.SP = BOOT2;
chip.core.LR = 0;
chip.core.PC = BOOT2;

const server = createServer((socket) => {
  const waiting = [];
  const uart = chip.uart[0];
  uart.onByte = (byte) => socket.write(Buffer.from([byte]));
  socket.setNoDelay(true);
  socket.on('data', (data) => waiting.push(...data));
  const finish = () => {
    console.log(JSON.stringify({ clk_sys: chip.clkSys, clk_peri: chip.clkPeri, baud: uart.baudRate }));
    process.exit(0);
  };
  socket.on('error', finish); // the other side closed before it had read all
  socket.on('close', finish);
  const feed = () => {
    while (waiting.length > 0 && !uart.rxFIFO.full) uart.feedByte(waiting.shift());
    setTimeout(feed, 0);
  };
  feed();
});
server.listen(0, '127.0.0.1', () => {
  console.log(server.address().port);
  simulator.execute();
});
// Nothing here outlives its test.
setTimeout(() => process.exit(1), 120000);
