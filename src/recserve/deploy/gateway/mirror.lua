-- Sends a copy of a request to other services, and forgets what they answer.
--
-- Copies never make a request wait: they are sent by tasks of their own, and no more than MOST at once.

local MOST <const> = 64
local TIMEOUT_MS <const> = 10000
local PREFIX <const> = "/api/predict/"
local SOCKET <const> = "unix@./mirror.sock"

local sending = 0

local function decoded(text)
    local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local bits, count, result = 0, 0, {}
    for letter in text:gmatch("[%w+/]") do
        bits = ((bits << 6) | (letters:find(letter, 1, true) - 1)) & 0xffffff
        count = count + 6
        if count >= 8 then
            count = count - 8
            result[#result + 1] = string.char((bits >> count) & 0xff)
        end
    end
    return table.concat(result)
end

core.register_action("mirror", { "http-req" }, function(txn)
    local body = txn.f:req_body()
    local length = tonumber(txn.f:req_hdr("content-length"))
    if body == nil or length == nil or #body < length then
        return -- larger than the buffer: half a copy is none
    end
    local rest = txn.f:pathq():sub(#PREFIX + 1):match("/.*$") or ""
    local kind = txn.f:req_hdr("content-type") or "application/octet-stream"
    for name, token in txn:get_var("txn.mirrors"):gmatch("([%w_.-]+)|([%w+/=]*)") do
        if sending >= MOST then
            return
        end
        sending = sending + 1
        local headers = { ["content-type"] = { kind }, ["content-length"] = { tostring(length) } }
        if token ~= "" then
            headers["authorization"] = { decoded(token) }
        end
        core.register_task(function()
            pcall(function()
                core.httpclient():post({
                    url = "http://127.0.0.1" .. PREFIX .. name .. rest,
                    dst = SOCKET, headers = headers, body = body, timeout = TIMEOUT_MS,
                })
            end)
            sending = sending - 1
        end)
    end
end)
